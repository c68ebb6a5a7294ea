"""Redis takes half a gigabyte for anything that we keep there; it is not read, it is dropped, and work goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from tests.integration.scene import Scene, full_summary, scene_on, scheduled
from tests.integration.test_forged_redis import WellVault, readers
from tests.records import MINUTE, NOW, current
from worker.adapters.redis import documents, due, keys, requests
from worker.adapters.redis.client import BATCH
from worker.adapters.redis.outbox import Outbox
from worker.adapters.redis.reading import LONGEST_DOCUMENT
from worker.adapters.redis.repair import LONGEST, LONGEST_NAME, TYPES
from worker.adapters.redis.replies import LONGEST_REPLY
from worker.adapters.redis.state import SharedState
from worker.errors import QueueOverlong
from worker.rotation.record import Record
from worker.sandbox.servers import ValkeyServer
from worker.service.audit_task import audit_once
from worker.service.former_queue import FORMER_QUEUE, FormerQueue
from worker.service.look import look_while_due
from worker.service.tasks import guarded
from worker.service.tick import rebuild, tick

LONG = 3 * LONGEST_REPLY
MAKE = "local long = string.rep('x', ARGV[1]) "
FORGE: Mapping[str, tuple[str, ...]] = {
    "hash": ("redis.call('HSET', KEYS[1], 'media', long)", "redis.call('HSET', KEYS[1], long, 'x')"),
    "zset": ("redis.call('ZADD', KEYS[1], '-inf', long)", "redis.call('ZADD', KEYS[1], 9e9, long)"),
    "set": ("redis.call('SADD', KEYS[1], long)",),
    "string": ("redis.call('SET', KEYS[1], long)",),
}
FORGED = [(key, script) for key, kind in TYPES.items() for script in FORGE[kind]]


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    made = scene_on(tmp_path, client, server, Record(target="media", path="apps/media", current=current()))
    made.runtime = replace(made.runtime, vault=WellVault())  # type: ignore[arg-type]  # a double
    return made


def put_long(client: redis.Redis, key: str, script: str) -> None:
    """Have Redis itself make something that is longer than any reply may be."""
    client.eval(MAKE + script, 1, key, LONG)


def work(scene: Scene) -> None:
    """What workers do in the course of time."""
    runtime = scene.runtime
    calls: Mapping[str, Callable[[], object]] = {
        "rotator.tick": lambda: tick(runtime, lambda *_, **__: None),
        "rotator.reconcile": lambda: look_while_due(runtime, "media"),
        "rotator.audit": lambda: audit_once(runtime),
        "rotator.start": lambda: rebuild(runtime),
    }
    for task, call in calls.items():
        scene.shared.client.delete(keys.once("audit"), keys.once("shorten"))
        guarded(runtime, task, call)  # type: ignore[arg-type]  # what it hands back is not asked for


CLAIMS: Mapping[str, tuple[str, Callable[[SharedState], object]]] = {
    "a tick": (keys.DUE, lambda shared: shared.due.claim(NOW, MINUTE, 1)),
    "a thread": (keys.DUE, lambda shared: shared.due.claim_next(NOW, MINUTE, "messages")),
    "a watch": (keys.WATCHES, lambda shared: shared.watches.claim(NOW, MINUTE, 1, "messages")),
}


@pytest.mark.parametrize("who", CLAIMS)
def test_who_claims_what_is_due_tells_what_was_too_long_for_a_name(
    shared: SharedState, client: redis.Redis, who: str
) -> None:
    key, claim = CLAIMS[who]
    put_long(client, key, "redis.call('ZADD', KEYS[1], '-inf', long)")
    with capture_logs() as logs:
        claim(shared)
        claim(shared)
    assert [(each["event"], each["key"], each["dropped"]) for each in logs] == [("redis.repaired", key, 1)]
    assert not client.exists(key)


@pytest.mark.parametrize(("key", "script"), FORGED)
def test_what_is_too_long_is_dropped_and_told(scene: Scene, client: redis.Redis, key: str, script: str) -> None:
    work(scene)
    put_long(client, key, script)
    with capture_logs() as logs:
        work(scene)
        work(scene)
    assert not [each for each in logs if each["event"] == "task.failed"]
    assert list(readers(scene))
    assert scheduled(scene.shared) == {"media"}
    assert (client.memory_usage(key, samples=0) or 0) < LONG


def test_a_reply_that_is_too_long_is_told_as_such(client: redis.Redis, shared: SharedState) -> None:
    put_long(client, keys.AUDIT, FORGE["string"][0])
    put_long(client, keys.CIRCUIT, "redis.call('HSET', KEYS[1], 'why', long)")
    put_long(client, keys.WATCHES, FORGE["zset"][0])
    readings: Sequence[Callable[[], object]] = (
        shared.notes.last_audit,
        lambda: shared.held(NOW),
        lambda: list(shared.watches.others(())),
    )
    for read in readings:
        with pytest.raises(QueueOverlong, match="longer than anything that a worker writes"):
            read()
    shared.repairs.shorten()
    assert [read() for read in readings] == [None, (), []]


def test_what_is_as_long_as_it_may_be_is_read(scene: Scene, client: redis.Redis) -> None:
    """However many there are: none of it is dropped, so it has to be read."""
    names = [f"target-{number}" for number in range(300)]
    for key in (keys.SUMMARY, keys.SEEN):
        client.hset(key, mapping=dict.fromkeys(names, "x" * LONGEST_DOCUMENT))
    client.hset(keys.PLANS, mapping=dict.fromkeys(names, "x" * LONGEST[keys.PLANS]))
    client.hset(keys.REQUESTS, mapping={"r" * 290 + name: "x" * LONGEST[keys.REQUESTS] for name in names * 3})
    client.hset(keys.SUMMARY, "media", json.dumps(full_summary("media")))
    scene.shared.repairs.shorten()
    assert client.hlen(keys.SUMMARY) == 301
    assert set(scene.shared.index.summaries()) == set(scene.shared.index.summaries_of([*names, "media"])) == {"media"}
    assert not scene.shared.watches.sightings()
    assert not scene.shared.watches.last_seen_living(names)
    assert len(scene.shared.index.changed_plans(dict.fromkeys(names, "another"))) == 300
    assert scene.shared.requests.all() == {}


def test_no_call_asks_for_more_than_is_read() -> None:
    assert documents.PAGE * (LONGEST_DOCUMENT + LONGEST_NAME) < LONGEST_REPLY
    assert due.PAGE * LONGEST_NAME < LONGEST_REPLY
    assert requests.PAGE * (LONGEST[keys.REQUESTS] + LONGEST_NAME) < LONGEST_REPLY
    assert BATCH * LONGEST[keys.PLANS] < LONGEST_REPLY


def test_an_outbox_gives_no_notice_that_is_too_long(client: redis.Redis) -> None:
    outbox, due_of = keys.outbox("hook"), keys.outbox_due("hook")
    put_long(client, outbox, "redis.call('HSET', KEYS[1], 'one', long)")
    put_long(client, due_of, "redis.call('ZADD', KEYS[1], 0, 'one')")
    put_long(client, due_of, "redis.call('ZADD', KEYS[1], 0, long)")
    assert Outbox(client).claim("hook", NOW, NOW + MINUTE) is None
    assert client.exists(outbox, due_of) == 0


def test_the_former_queue_is_read_in_parts(client: redis.Redis) -> None:
    text: Any = '{"rotator.": "' + "x" * 60_000 + '"}'
    client.rpush(FORMER_QUEUE, *[text] * 300)
    before = int(client.info("stats")["total_net_output_bytes"])
    FormerQueue(client, "hostup-rotator").move()
    assert int(client.info("stats")["total_net_output_bytes"]) - before < LONGEST_REPLY
