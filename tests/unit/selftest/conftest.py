from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox import HostUp, plain_client
from tests.unit.sandbox.conftest import API_KEY, client, simulator
from worker.sandbox.simulator.server import Simulator
from worker.selftest.proxy import HttpProxy
from worker.selftest.script import Script

__all__ = ["client", "simulator"]


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
