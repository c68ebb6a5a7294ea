"""A sandbox for each test process, and for each test a configuration of its own on it: names, paths, Redis database."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import Service
from worker.sandbox.run import Sandbox, start_sandbox
from worker.sandbox.texts import SandboxOptions

_DATABASES = itertools.cycle(range(1, 16))


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with start_sandbox(tmp_path_factory.mktemp("sandbox"), SandboxOptions(spread=0.0, linger=0.0), {}) as running:
        yield running


@pytest.fixture
def service(sandbox: Sandbox, tmp_path: Path) -> Iterator[Service]:
    made = Service(sandbox, tmp_path, next(_DATABASES))
    yield made
    made.end()
