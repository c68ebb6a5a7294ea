"""What the contract tests run against.

A simulator of one's own for each test, unless HOSTUP_CONTRACT_URL and HOSTUP_CONTRACT_API_KEY_FILE name another one:
then only what is documented is tested, on that one. Tests that turn a simulator's knobs take ``simulator``, ours.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox import HostUp, plain_client
from worker.sandbox.simulator.server import Simulator

API_KEY = "the-key-of-the-contract-tests"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(API_KEY) as running:
        yield running


@pytest.fixture
def hostup(request: pytest.FixtureRequest) -> Iterator[HostUp]:
    url = os.environ.get("HOSTUP_CONTRACT_URL")
    if url and "simulator" not in request.fixturenames:
        api_key = Path(os.environ["HOSTUP_CONTRACT_API_KEY_FILE"]).read_text("utf-8").strip()
    else:
        url, api_key = request.getfixturevalue("simulator").url, API_KEY
    with plain_client(url, {"X-API-Key": api_key}) as client:
        yield HostUp(client)


@pytest.fixture
def endpoint(hostup: HostUp) -> str:
    """The object storage."""
    url: str = hostup.status()["endpoint"]
    return url


@pytest.fixture
def key(hostup: HostUp) -> dict[str, str]:
    """A key that is not the last one."""
    hostup.create()
    return hostup.create()
