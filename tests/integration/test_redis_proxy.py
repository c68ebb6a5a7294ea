"""The proxy in front of a real Valkey."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.sandbox import PATIENCE, wait_until
from worker.sandbox.servers import ValkeyServer, start_valkey
from worker.selftest import actions
from worker.selftest.actions import Gate
from worker.selftest.redis_proxy import RedisProxy
from worker.selftest.script import Action, Moment, Rule, Script

ONCE = Retry(NoBackoff(), 0)


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.stop()


@pytest.fixture
def direct(valkey: ValkeyServer) -> Iterator[Any]:
    with redis.Redis.from_url(valkey.url.reveal(), decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def script() -> Script:
    return Script({"media": "{target}"})


@pytest.fixture
def proxy(valkey: ValkeyServer, script: Script) -> Iterator[RedisProxy]:
    with RedisProxy(("127.0.0.1", valkey.port), script) as running:
        yield running


@pytest.fixture
def client(proxy: RedisProxy, valkey: ValkeyServer, direct: Any) -> Iterator[Any]:
    del direct  # it has emptied the server
    password = valkey.password.reveal()
    with redis.Redis(
        "127.0.0.1",
        proxy.port,
        password=password,
        decode_responses=True,
        socket_timeout=PATIENCE,
        retry=ONCE,
        driver_info=None,
    ) as opened:
        yield opened


def test_everything_gets_through_and_is_traced(client: Any, direct: Any, script: Script) -> None:
    client.set("media", "x" * 100_000)
    client.set("media", "again")
    assert client.eval("return redis.call('GET', KEYS[1])", 1, "media") == "again"
    with client.pipeline() as pipe:
        pipe.zadd("due", {"a": 1}).zrange("due", 0, -1)
        assert pipe.execute() == [1, ["a"]]
    assert direct.get("media") == "again"

    steps = [(step.method, step.path, step.nth) for step in script.steps()]
    assert ("SET", "{target}", 2) in steps
    assert ("EVAL", "{target}", 1) in steps
    assert ("ZADD", "due", 1) in steps


def test_a_command_cut_before_its_effect(client: Any, direct: Any, script: Script) -> None:
    client.ping()
    script.add(Rule(Moment.BEFORE, actions.cut(), method="SET"))

    with pytest.raises(redis.ConnectionError):
        client.set("fact", "1")

    assert direct.get("fact") is None


def test_a_command_cut_after_its_effect(client: Any, direct: Any, script: Script) -> None:
    client.ping()
    script.add(Rule(Moment.AFTER, actions.cut(), method="SET"))

    with pytest.raises(redis.ConnectionError):
        client.set("fact", "1")

    assert direct.get("fact") == "1"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("READONLY You can't write against a read only replica.", redis.ReadOnlyError),
        ("OOM command not allowed when used memory > 'maxmemory'.", redis.OutOfMemoryError),
    ],
)
def test_an_error_instead(client: Any, direct: Any, script: Script, text: str, error: type[Exception]) -> None:
    script.add(Rule(Moment.BEFORE, actions.redis_error(text), method="SET"))

    with pytest.raises(error):
        client.set("fact", "1")

    assert direct.get("fact") is None
    assert client.set("fact", "2")


def test_a_command_is_held(client: Any, direct: Any, script: Script) -> None:
    gate = Gate()
    script.add(Rule(Moment.BEFORE, actions.hold(gate), method="SET"))
    setter = threading.Thread(target=lambda: client.set("fact", "1"))
    setter.start()
    assert gate.arrived.wait(PATIENCE)
    assert [direct.get("fact") for _ in range(20)] == [None] * 20

    gate.opened.set()

    setter.join(PATIENCE)
    assert direct.get("fact") == "1"


def test_the_moments_come_in_order(client: Any, direct: Any, script: Script) -> None:
    told: list[tuple[str, str | None]] = []

    def note(moment: Moment) -> Action:
        return actions.call(lambda: told.append((moment.value, direct.get("fact"))))

    for moment in Moment:
        script.add(Rule(moment, note(moment), method="SET"))
    client.set("fact", "1")

    wait_until(lambda: len(told) == 3, "the reply was delivered")
    assert told == [("before", None), ("after", "1"), ("delivered", "1")]


def test_a_half_open_network(proxy: RedisProxy, client: Any, valkey: ValkeyServer) -> None:
    client.ping()
    proxy.freeze()
    password = valkey.password.reveal()
    impatient = redis.Redis("127.0.0.1", proxy.port, password=password, socket_timeout=0.1, retry=ONCE)
    with impatient, pytest.raises(redis.TimeoutError):
        impatient.ping()

    proxy.thaw()

    assert client.ping()


def test_connections_dropped(proxy: RedisProxy, client: Any, script: Script) -> None:
    caught: list[Exception] = []

    def wait_for_work() -> None:
        try:
            client.blpop("empty", 0)
        except redis.RedisError as error:
            caught.append(error)

    waiting = threading.Thread(target=wait_for_work)
    waiting.start()
    wait_until(lambda: any(seen.method == "BLPOP" for seen in script.trace()), "the command is on its way")

    proxy.drop_connections()

    waiting.join(PATIENCE)
    assert [type(error) for error in caught] == [redis.ConnectionError]
    assert client.ping()


def test_a_server_that_is_gone(script: Script) -> None:
    with RedisProxy(("127.0.0.1", 9), script) as proxy:
        client = redis.Redis("127.0.0.1", proxy.port, retry=ONCE)
        with client, pytest.raises(redis.ConnectionError):
            client.ping()
