from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.sandbox import plain_client
from worker.sandbox.simulator.server import Listening, Simulator

API_KEY = "the-key-of-the-sandbox-tests"


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Simulator]:
    with Simulator(API_KEY, place=Listening(ledger=tmp_path / "ledger.jsonl")) as running:
        yield running


@pytest.fixture
def client(simulator: Simulator) -> Iterator[httpx.Client]:
    with plain_client(simulator.url, {"X-API-Key": API_KEY}) as opened:
        yield opened
