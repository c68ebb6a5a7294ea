"""Real servers for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos_run.shift import Shift, start_shift
from worker.sandbox.servers import ValkeyServer, VaultServer, start_valkey, start_vault


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    server = start_vault(tmp_path_factory.mktemp("vault"))
    yield server
    server.stop()


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    server = start_valkey(tmp_path / "valkey")
    yield server
    server.stop()


@pytest.fixture
def shift(tmp_path: Path, vault: VaultServer, valkey: ValkeyServer) -> Iterator[Shift]:
    with start_shift(tmp_path, vault, valkey) as running:
        yield running


@pytest.fixture
def quick(tmp_path: Path, vault: VaultServer, valkey: ValkeyServer) -> Iterator[Shift]:
    """One whose ticks are a minute apart."""
    with start_shift(tmp_path, vault, valkey, tick="1m", lease="1m") as running:
        yield running
