"""Who can write to Redis can put anything there; the workers go on, and say what they found."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

from tests.acceptance.service import APP_PASSWORD, Service, Worker
from tests.hostile import CANARY, SHAPES, item, message
from tests.sandbox import wait_until
from worker.adapters.redis.keys import UNACKED, UNACKED_INDEX
from worker.settings.settings import QUEUE

MEBIBYTE = 1024 * 1024
SEPARATOR = "\x06\x16"
OTHER_TYPES: Mapping[str, Callable[[redis.Redis, str], object]] = {
    "string": lambda client, key: client.set(key, CANARY),
    "hash": lambda client, key: client.hset(key, "a", CANARY),
    "list": lambda client, key: client.rpush(key, CANARY),
    "set": lambda client, key: client.sadd(key, CANARY),
    "zset": lambda client, key: client.zadd(key, {CANARY: 1}),
    "stream": lambda client, key: client.xadd(key, {"a": CANARY}),
}


def ask(service: Service, worker: Worker) -> None:
    """Ask for a rotation as another app does, and see that it is served."""
    before = len(worker.events("rotation.succeeded"))
    app = Celery(broker=service.redis_url_of("app", APP_PASSWORD), set_as_current=False)
    app.send_task("rotator.rotate", args=[service.target], queue=QUEUE, task_id=str(uuid.uuid4()))
    app.close()
    worker.wait_for("rotation.succeeded", before + 1)


def started(service: Service) -> Worker:
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    return worker


def put_large(service: Service, script: str, key: str) -> None:
    """Have Redis itself make a value that would not fit into a worker, which may take it a while."""
    with redis.Redis.from_url(service.redis_url, socket_timeout=60) as patient:
        patient.eval(script, 1, key, 150 * MEBIBYTE)


def most_memory(worker: Worker) -> int:
    """The most bytes that the process ever took."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text("utf-8")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def assert_well(worker: Worker) -> None:
    """It is the same process, has told no secret and nothing of a message, and took little memory."""
    assert worker.process.poll() is None
    said = worker.log.read_text("utf-8")
    assert CANARY not in said
    assert "Traceback" not in said
    assert most_memory(worker) < 200 * MEBIBYTE
    assert worker.stop() == 0


def test_no_malformed_message_ends_a_worker(service: Service) -> None:
    worker = started(service)
    for raw in SHAPES.values():
        service.redis.lpush(QUEUE, raw)
        service.redis.lpush(f"{QUEUE}{SEPARATOR}9", raw)
    wait_until(lambda: not service.redis.exists(QUEUE, f"{QUEUE}{SEPARATOR}9"), "all of them to be taken off")
    ask(service, worker)
    refused = worker.events("task.refused")
    assert all(event["kind"] and event["length"] >= 0 for event in refused)
    assert len(refused) <= 20  # of a flood not each is logged
    assert_well(worker)


def test_a_large_item_and_many_messages_for_later_take_no_memory(service: Service) -> None:
    worker = started(service)
    put_large(service, "redis.call('LPUSH', KEYS[1], string.rep('x', ARGV[1]))", QUEUE)
    later = message(service.target)
    later["headers"]["eta"] = "2099-01-01T00:00:00+00:00"
    for _ in range(4):
        service.redis.lpush(QUEUE, *[item(later)] * 1000)
    wait_until(lambda: not service.redis.exists(QUEUE), "all of them to be taken off")
    ask(service, worker)
    assert_well(worker)


def test_a_key_of_another_type_is_deleted_and_told(service: Service) -> None:
    """Before a worker starts, and while one works."""
    keys = {QUEUE: "list", f"{QUEUE}{SEPARATOR}6": "list", UNACKED: "hash", UNACKED_INDEX: "zset"}
    wrong = [(key, kind) for key, right in keys.items() for kind in OTHER_TYPES if kind != right]
    for key in keys:
        OTHER_TYPES["string"](service.redis, key)
    OTHER_TYPES["string"](service.redis, f"_kombu.binding.{QUEUE}")
    worker = started(service)
    for key, kind in wrong:
        told = len(worker.events("redis.repaired"))
        service.redis.delete(key)
        OTHER_TYPES[kind](service.redis, key)
        if key in (UNACKED, UNACKED_INDEX):
            service.redis.lpush(QUEUE, item(message("no-such-target", task="rotator.reconcile")))
        worker.wait_for("redis.repaired", told + 1)
    assert {event["key"] for event in worker.events("redis.repaired")} == {*keys, f"_kombu.binding.{QUEUE}"}
    ask(service, worker)
    assert_well(worker)


def test_what_others_put_among_the_unacknowledged_is_taken_off(service: Service) -> None:
    """A message that a killed worker had taken comes back; anything else is told and gone."""
    kept: dict[Any, Any] = {name: raw for name, raw in SHAPES.items() if len(raw) < 1000}
    service.redis.hset(UNACKED, mapping=kept)
    wrapped: dict[Any, Any] = {f"{name}, wrapped": b"[" + raw + b', "", "rotator:due"]' for name, raw in kept.items()}
    service.redis.hset(UNACKED, mapping=wrapped)
    put_large(service, "redis.call('HSET', KEYS[1], 'large', string.rep('x', ARGV[1]))", UNACKED)
    good = json.dumps([message(service.target), "", "rotator:due"])
    service.redis.hset(UNACKED, "good", good)
    tags = [*kept, *wrapped, "large", "good", "of nothing"]
    service.redis.zadd(UNACKED_INDEX, {tag: number for number, tag in enumerate(tags)})
    worker = started(service)
    wait_until(lambda: "one-request" in str(service.record()["served"]), "the good one to be served")
    wait_until(lambda: not service.redis.zrange(UNACKED_INDEX, "-inf", 10_000, byscore=True), "the rest to be gone")
    assert worker.events("task.refused")
    assert_well(worker)


@pytest.fixture
def mended(service: Service) -> Iterator[redis.Redis]:
    """Redis, which is put right again however a test ends."""
    client = service.redis
    yield client
    client.replicaof("NO", "ONE")
    client.config_set("maxmemory", "0")
    client.acl_setuser("worker", enabled=True, commands=["+brpop", "+lpush", "+hset"])
    asked_for = {entry["object"] for entry in client.acl_log() if entry["username"] in ("worker", "app")}
    # check looks for other Celery apps by SCAN, and does without where it may not
    assert asked_for <= {"brpop", "lpush", "hset", "scan"}, "more rights than config/redis/users.acl gives"
    client.acl_log_reset()


def _replica(client: redis.Redis) -> Callable[[], object]:
    client.replicaof("127.0.0.1", "1")
    return lambda: client.replicaof("NO", "ONE")


def _full(client: redis.Redis) -> Callable[[], object]:
    client.config_set("maxmemory", "1")
    return lambda: client.config_set("maxmemory", "0")


def _narrow(client: redis.Redis) -> Callable[[], object]:
    client.acl_setuser("worker", enabled=True, commands=["-brpop", "-lpush", "-hset"])
    return lambda: client.acl_setuser("worker", enabled=True, commands=["+brpop", "+lpush", "+hset"])


@pytest.mark.parametrize(("word", "hurt"), [("READONLY", _replica), ("OOM", _full), ("NOPERM", _narrow)])
def test_what_redis_replies_with_ends_no_worker(
    service: Service, mended: redis.Redis, word: str, hurt: Callable[[redis.Redis], Callable[[], object]]
) -> None:
    worker = started(service)
    heal = hurt(mended)
    wait_until(lambda: word in worker.log.read_text("utf-8"), f"{word} in the log")
    seen = time.monotonic()
    wait_until(lambda: time.monotonic() > seen + 3, "it to last for some reads")
    heal()
    ask(service, worker)
    began = [event["error"] for event in worker.events("queue.unavailable")]
    assert any(word in error for error in began)
    assert len(began) == len(set(began)), "each is said once"
    assert worker.process.poll() is None
    assert "Unrecoverable" not in worker.log.read_text("utf-8")
    assert worker.stop() == 0
