"""A real Valkey for what workers share in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from worker.adapters.redis.client import connect
from worker.adapters.redis.state import SharedState, shared_state
from worker.sandbox.children import free_port
from worker.sandbox.servers import ValkeyServer, start_valkey
from worker.secret import Secret


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    running = start_valkey(tmp_path_factory.mktemp("valkey"))
    yield running
    running.stop()


@pytest.fixture
def client(server: ValkeyServer) -> Iterator[redis.Redis]:
    with connect(server.url) as made:
        made.flushall()
        yield made


@pytest.fixture
def shared(client: redis.Redis) -> SharedState:
    return shared_state(client)


@pytest.fixture
def away() -> Iterator[redis.Redis]:
    with connect(Secret(f"redis://127.0.0.1:{free_port()}/0")) as made:
        yield made
