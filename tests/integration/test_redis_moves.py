"""A managed Redis that moves behind its name: a write to what is a replica by now has the name looked up again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.servers import wait_until
from worker.adapters.redis.client import connect
from worker.sandbox.servers import ValkeyServer, start_valkey
from worker.secret import Secret
from worker.selftest.redis_proxy import RedisProxy
from worker.selftest.script import Script
from worker.service.celery_app import make_app

PASSWORD = "of-both"


@dataclass(frozen=True, slots=True)
class Managed:
    """Two servers, and a name that leads to one of them; connections that are there stay where they are."""

    first: ValkeyServer
    second: ValkeyServer
    name: RedisProxy

    @property
    def url(self) -> Secret:
        return Secret(self.first.url.reveal().replace(f":{self.first.port}/", f":{self.name.port}/"))

    def move(self) -> None:
        """Fail over, as a provider does: the first follows the second, and the name leads there."""
        with connect(self.first.url) as first:
            first.config_set("masterauth", PASSWORD)
            first.replicaof("127.0.0.1", str(self.second.port))
            wait_until(lambda: first.info("replication")["master_link_status"] == "up", "the first follows")
        self.name.upstream = ("127.0.0.1", self.second.port)


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[Managed]:
    with ExitStack() as stack:
        first, second = (start_valkey(tmp_path / name, password=PASSWORD) for name in ("first", "second"))
        stack.callback(first.stop)
        stack.callback(second.stop)
        yield Managed(first, second, stack.enter_context(RedisProxy(("127.0.0.1", first.port), Script())))


def at(server: ValkeyServer) -> redis.Redis:
    return connect(server.url)


def test_a_write_to_what_is_a_replica_by_now_goes_to_the_primary(managed: Managed) -> None:
    with connect(managed.url) as client, at(managed.second) as second:
        client.set("rotator:one", "1")
        managed.move()
        client.set("rotator:two", "2")
        with client.pipeline(transaction=False) as pipe:
            pipe.set("rotator:three", "3")
            pipe.execute()
        assert client.eval("return redis.call('SET', KEYS[1], '4')", 1, "rotator:four")
        assert second.mget("rotator:two", "rotator:three", "rotator:four") == ["2", "3", "4"]


def test_a_message_goes_to_the_primary_too(managed: Managed) -> None:
    with make_app(managed.url) as app, at(managed.second) as second:
        app.send_task("rotator.tick")
        managed.move()
        app.send_task("rotator.tick", retry=False)
        assert second.llen("hostup-rotator") == 1


def test_a_message_that_cannot_be_acknowledged_any_more_is_no_error(managed: Managed) -> None:
    with make_app(managed.url) as app:
        app.send_task("rotator.tick")
        with app.connection_for_read() as connection:
            queue = connection.SimpleQueue("hostup-rotator")
            message = queue.get(timeout=10)
            managed.name.stop()
            message.ack()
            assert message.acknowledged
