"""A real worker, and somebody else who can write to its Redis: rotation goes on, and what was found is told."""

from __future__ import annotations

import json
import time

from tests.acceptance.service import Service, Worker
from tests.acceptance.test_hostile_messages import MEBIBYTE, assert_well, put_large
from tests.sandbox import wait_until
from worker.adapters.redis import keys

FAR = 9_999_999_999.0


def silence(service: Service) -> None:
    """All that was seen to stop the released state, some of it without a line in the log."""
    redis, target = service.redis, service.target
    redis.set(keys.lock(target), "forged")
    redis.set(keys.once("audit"), "1")
    redis.zadd(keys.DUE, {target: float("inf")})
    redis.zadd(keys.WATCHES, {target: FAR})
    redis.zadd(keys.CREATES, {f"forged-{number}": float("inf") for number in range(10)})
    redis.hset(keys.PAUSES, mapping=dict.fromkeys(("create_key", "delete_key", "status"), "inf"))
    redis.hset(keys.CIRCUIT, mapping={"open_until": "nan", "trial_until": str(FAR), "failures": "x"})
    redis.hset(keys.COUNT, mapping={"value": "x", "at": "y", "made": "z"})
    redis.hset(keys.REQUESTS, mapping={"forged": "{", "\x1b[2J": '{"target": 5}', "nobody": "[]"})
    redis.hset(keys.SUMMARY, target, '{"target": "\\u001b[2J"}')
    redis.hset(keys.SEEN, target, "5")
    for key in (keys.IDS_OF, keys.VERSIONS, keys.PLANS):
        redis.delete(key)
        redis.lpush(key, "forged")


def told(worker: Worker) -> set[str]:
    return {str(event["key"]) for event in worker.events("redis.repaired")}


def test_rotation_goes_on_whatever_is_written_to_redis(service: Service) -> None:
    service.every, service.grace, service.audit_every = "12s", "1s", "2s"
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    worker.wait_for("audit.done")
    rotations, audits = len(worker.events("rotation.succeeded")), len(worker.events("audit.done"))
    silence(service)
    # a pause and a circuit without end are cut to what they may be at most, which is longer than a test may take
    wait_until(lambda: float(str(service.redis.hget(keys.PAUSES, "create_key") or 0)) != float("inf"), "cut")
    assert float(str(service.redis.hget(keys.PAUSES, "create_key") or 0)) < time.time() + 1200
    service.redis.delete(keys.PAUSES)
    worker.wait_for("rotation.succeeded", rotations + 1)
    worker.wait_for("audit.done", audits + 1)
    assert {keys.lock(service.target), keys.once("audit"), keys.DUE, keys.REQUESTS} <= told(worker)
    assert {keys.IDS_OF, keys.VERSIONS, keys.PLANS} <= told(worker)
    assert worker.process.poll() is None
    assert not [e for e in worker.events("task.failed") if e.get("kind")], "nothing failed in a way that nobody foresaw"


def test_what_no_worker_has_memory_for_is_not_read(service: Service) -> None:
    """Everywhere that a worker reads, one after another: they would not fit into Redis all at once."""
    service.every, service.grace, service.audit_every = "12s", "1s", "2s"
    worker = service.start()
    worker.wait_for("audit.done")
    field, member = "redis.call('HSET', KEYS[1], 'x', {})", "redis.call('ZADD', KEYS[1], '-inf', {})"
    for key, script in {
        keys.VERSIONS: field.replace("'x'", f"'{service.target}'"),
        keys.SUMMARY: field.replace("'x'", f"'{service.target}'"),
        keys.REQUESTS: field,
        keys.COUNT: field.replace("'x'", "'value'"),
        keys.DUE: member,
        keys.AUDIT: "redis.call('SET', KEYS[1], {})",
    }.items():
        put_large(service, script.format("string.rep('x', ARGV[1])"), key)
        audits = len(worker.events("audit.done"))
        worker.wait_for("audit.done", audits + 2)
        assert (service.redis.memory_usage(key, samples=0) or 0) < 2 * MEBIBYTE, key
    worker.wait_for("rotation.succeeded", len(worker.events("rotation.succeeded")) + 1)
    assert {keys.DUE, keys.REQUESTS} <= told(worker)
    assert_well(worker)


def test_a_due_set_that_was_evicted_is_there_again_within_ticks(service: Service) -> None:
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    wait_until(lambda: (service.redis.zscore(keys.DUE, service.target) or 0) > time.time() + 60, "the end of the look")
    service.redis.delete(keys.DUE)
    worker.wait_for("index.rebuilt", 2)
    assert service.redis.zscore(keys.DUE, service.target) is not None
    assert len(service.made()) == 1


def test_summaries_that_were_evicted_are_there_again_within_seconds(service: Service) -> None:
    """And not with the next audit only, which is an hour away."""
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    wait_until(lambda: summaries(service) == {service.target}, "the end of the look")
    for _ in range(2):  # the first one may have begun before the index was whole
        wait_for_a_sign_of_life(service)
    service.redis.delete(keys.SUMMARY)
    wait_until(lambda: summaries(service) == {service.target}, "they were made anew")


def summaries(service: Service) -> set[str]:
    return set(map(str, service.redis.hgetall(keys.SUMMARY)))


def wait_for_a_sign_of_life(service: Service) -> None:
    seen = service.redis.zrange(keys.WORKERS, 0, -1, withscores=True)
    wait_until(lambda: service.redis.zrange(keys.WORKERS, 0, -1, withscores=True) != seen, "a sign of life")


def test_the_audit_is_done_by_the_workers_own_clock_when_its_messages_are_taken_away(service: Service) -> None:
    service.audit_every = "1s"
    worker = service.start("--no-beat")
    worker.wait_for("worker.started")
    service.redis.set(keys.once("audit"), "1", px=800)
    worker.wait_for("audit.done")


def test_status_shows_nothing_that_was_forged(service: Service) -> None:
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    wait_until(lambda: service.redis.hget(keys.SUMMARY, service.target) is not None, "the end of the look")
    worker.stop()
    true = service.published()
    assert true is not None
    genuine = json.loads(str(service.redis.hget(keys.SUMMARY, service.target)))
    for forged in (
        "{",
        "[]",
        json.dumps({**genuine, "target": "other"}),
        json.dumps({**genuine, "retiring": "\x1b[2J"}),
        json.dumps({**genuine, "next_rotation_at": "2026-01-01"}),
        json.dumps({**genuine, "access_key": "\x1b]0;\x07"}),
        json.dumps({**genuine, "unconfirmed_creates": [{}]}),
    ):
        service.redis.hset(keys.SUMMARY, service.target, forged)
        service.redis.hset(keys.SEEN, service.target, forged)
        service.redis.hset(keys.CIRCUIT, mapping={"open_until": "inf", "opened_at": "nan", "why": forged})
        shown = service.rotator("status", "--json")
        assert shown.returncode == 0, shown.stderr
        (summary,) = json.loads(shown.stdout)
        assert summary["access_key"] == true["access_key"]
        table = service.rotator("status")
        assert table.returncode == 0
        assert "\x1b" not in table.stdout + table.stderr
