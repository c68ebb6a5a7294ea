"""The users of config/redis/users.acl on a real server: what they are for works, and everything else is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

import worker as worker_package
from tests.records import NOW
from tests.redis_users import make_users
from worker.adapters.redis.keys import AUDIT, CIRCUIT, CREATES, DUE, PARKED, REQUESTS
from worker.adapters.redis.state import shared_state
from worker.sandbox.servers import ValkeyServer

QUEUES = ("hostup-rotator", "celery")
EVERYBODY = {"auth", "hello", "quit", "reset"}
"""What a server lets everybody do: to log in, and to leave."""

Login = Callable[[str], redis.Redis]


@pytest.fixture
def login(server: ValkeyServer, client: redis.Redis) -> Iterator[Login]:
    make_users(client, worker="the worker's", app="an app's")
    client.acl_log_reset()
    made: list[redis.Redis] = []

    def log_in(user: str) -> redis.Redis:
        password = {"worker": "the worker's", "app": "an app's"}[user]
        made.append(redis.Redis(port=server.port, username=user, password=password, decode_responses=True))
        return made[-1]

    yield log_in
    for one in made:
        one.close()
    for user in ("worker", "app"):
        client.acl_deluser(user)


@pytest.fixture
def app(login: Login) -> redis.Redis:
    return login("app")


@pytest.fixture
def worker(login: Login) -> redis.Redis:
    return login("worker")


def ask(client: redis.Redis, *command: str) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]  # it is not typed


def is_refused(as_user: redis.Redis, *command: str) -> bool:
    """Whether the server refuses it for want of rights, and for no other reason."""
    try:
        ask(as_user, *command)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.RedisError as error:
        return "command not allowed" in str(error)  # DEBUG and MODULE, for everybody
    finally:
        as_user.connection_pool.disconnect()  # the next command is not a part of this one's transaction
    return False


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("queue", QUEUES)
def test_an_app_sends_its_message(server: ValkeyServer, client: redis.Redis, queue: str) -> None:
    broker = f"redis://app:an%20app%27s@{server.address}/0"
    sender = Celery(broker=broker, set_as_current=False)
    sender.send_task("rotator.rotate", args=["media"], kwargs={"reason": "leaked"}, queue=queue, retry=False)
    sender.close()

    assert client.llen(queue) == 1
    assert client.acl_log() == [], "nothing was tried that it may not"


def every_command(client: redis.Redis) -> Iterator[tuple[str, tuple[str, ...]]]:
    """All commands and subcommands that this server has, with as many arguments as each wants: the queue's name."""
    answer: dict[str, Any] = ask(client, "COMMAND")
    for name, facts in answer.items():
        subcommands = facts.get("subcommands") or []
        for found, arity in [(sub[0], sub[1]) for sub in subcommands] or [(name, facts["arity"])]:
            words = tuple(str(found).split("|"))
            yield str(found), (*words, *["celery"] * (abs(int(arity)) - len(words)))


def test_an_app_may_push_and_nothing_else(client: redis.Redis, app: redis.Redis) -> None:
    client.rpush("celery", "a message")
    allowed = {name for name, command in every_command(client) if not is_refused(app, *command)} - EVERYBODY

    assert allowed == {"ping", "select", "client|setinfo", "multi", "exec", "lpush", "llen"}
    assert "a message" in client.lrange("celery", 0, -1)


FOR_OTHER_KEYS = [
    *[("LPUSH", key, "x") for key in (DUE, REQUESTS, "rotator:new", "unacked", "_kombu.binding.celery", "celery2")],
    *[("LPUSH", f"{queue}\x06\x163", "x") for queue in QUEUES],
    *[("SADD", key, "x") for key in (*QUEUES, CREATES, "unacked", "_kombu.binding.other", "anything")],
    *[("LLEN", key) for key in (CIRCUIT, "unacked", "anything")],
]


@pytest.mark.parametrize("command", FOR_OTHER_KEYS, ids=lambda command: f"{command[0]} {command[1]!r}")
def test_an_app_may_push_to_the_queue_only(app: redis.Redis, command: tuple[str, ...]) -> None:
    """Also not what would make a key of another kind of the queue, or of the bindings: that stops a worker."""
    assert is_refused(app, *command)


def test_the_worker_may_not_do_what_no_worker_does(client: redis.Redis, worker: redis.Redis) -> None:
    dangerous = {
        str(name) for name, facts in ask(client, "COMMAND").items() if {"admin", "pubsub"} & set(facts["flags"])
    }
    everything = {"keys", "scan", "randomkey", "dbsize", "flushall", "flushdb", "swapdb", "rename", "sort"}
    refused = {name for name, command in every_command(client) if is_refused(worker, *command)}

    assert everything <= refused
    assert dangerous - {name.partition("|")[0] for name in refused} == set()


def test_the_worker_may_look_through_its_keys_and_drop_what_is_too_long(
    client: redis.Redis, worker: redis.Redis
) -> None:
    long = "x" * 1000
    client.zadd(DUE, {"media": 1, long: 0})
    client.hset(REQUESTS, long, "x")
    client.sadd(PARKED, "media", long)
    client.set(AUDIT, long * 100)
    shared = shared_state(worker)
    shared.repairs.shorten()
    assert list(shared.due.others(())) == [["media"]]
    assert list(shared.watches.others(())) == []
    assert shared.circuit().turned_away({"media", long}) == {"media"}
    assert (shared.held(NOW), shared.index.summaries(), shared.watches.sightings()) == ((), {}, {})
    assert client.exists(AUDIT, REQUESTS) == 0
    assert client.acl_log() == [], "nothing was tried that it may not"


@pytest.mark.parametrize("command", [("GET", "other"), ("DEL", "other"), ("LPUSH", "other", "x"), ("SADD", "q", "x")])
def test_the_worker_may_not_touch_keys_of_others(worker: redis.Redis, command: tuple[str, ...]) -> None:
    assert is_refused(worker, *command)


def test_a_script_of_the_worker_has_no_more_rights(worker: redis.Redis) -> None:
    for script in ("return redis.call('FLUSHALL')", "return redis.call('GET', 'other')"):
        with pytest.raises(redis.exceptions.ResponseError, match=r"(?i)acl|permission"):
            ask(worker, "EVALSHA", worker.script_load(script), "0")


CALLED = (re.compile(r"redis\.p?call\('(\w+)'"), re.compile(r"\b(?:_?client|pipe|known)\.([a-z]+)\("))
"""How a script, and how code calls a command."""


def test_the_worker_may_do_all_that_the_code_calls(client: redis.Redis, worker: redis.Redis) -> None:
    """Also what no other test comes to; ``rotator check`` looks for other apps by SCAN, and does without."""
    files = [file.read_text("utf-8") for part in ("adapters/redis", "service", "cli") for file in _python(part)]
    called = {word.lower() for text in files for kind in CALLED for word in kind.findall(text)}
    every = dict(every_command(client))
    commands = called & every.keys()
    assert {"zadd", "hstrlen", "lrem", "scan"} <= commands, "they are found in scripts and in code"
    refused = {name for name in commands if is_refused(worker, *every[name][:1], *[DUE] * (len(every[name]) - 1))}
    assert refused == {"scan"}


def _python(part: str) -> list[Path]:
    return sorted((Path(worker_package.__file__).parent / part).rglob("*.py"))
