from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.sandbox import HostUp, plain_client
from worker.sandbox.proxy import HttpProxy
from worker.sandbox.script import Script
from worker.sandbox.simulator import Place, Simulator

API_KEY = "the-key-of-the-sandbox-tests"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with Simulator(API_KEY, place=Place(ledger=tmp_path / "ledger.jsonl")) as running:
        yield running


@pytest.fixture
def client(simulator: Simulator) -> Iterator[httpx.Client]:
    with plain_client(simulator.url, {"X-API-Key": API_KEY}) as opened:
        yield opened


@pytest.fixture
def script() -> Script:
    return Script({"media": "{bucket}"})


@pytest.fixture
def proxy(simulator: Simulator, script: Script) -> Iterator[HttpProxy]:
    with HttpProxy("hostup", simulator.url, script) as running:
        yield running


@pytest.fixture
def hostup(proxy: HttpProxy) -> Iterator[HostUp]:
    """The API through the proxy."""
    with plain_client(proxy.url, {"X-API-Key": API_KEY}) as opened:
        yield HostUp(opened)
