"""Whether Redis is there and takes writes, going by its INFO, and whether a worker is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from redis.exceptions import ResponseError

from worker.adapters.redis.client import guard
from worker.adapters.redis.workers import SILENT_SECONDS
from worker.cli.texts import when
from worker.cli.verdicts import Verdict, failed
from worker.errors import QueueUnavailable
from worker.service.assemble import Runtime
from worker.service.audit_task import MORE_THREADS, watch_behind

NEARLY_FULL = 0.9


def look(runtime: Runtime) -> Iterator[Verdict]:
    """Redis, and the workers that have signed in there."""
    try:
        facts = _info(runtime)
    except QueueUnavailable as error:
        yield failed("Redis", error)
        yield Verdict("worker", "warning", "not known: workers sign in at Redis")
        return
    yield judged(facts) if facts else Verdict("Redis", "ok", "answers; it may not be asked whether it takes writes")
    workers = _workers(runtime)
    yield workers
    if workers.state == "ok":
        yield from _watch(runtime)


def _info(runtime: Runtime) -> Mapping[str, Any]:
    """Redis' INFO; nothing when its access rules forbid to ask."""
    client = runtime.shared.client
    with guard():
        client.ping()
        try:
            return dict(client.info())
        except ResponseError:
            return {}


def judged(facts: Mapping[str, Any]) -> Verdict:
    """Redis' INFO as a verdict; for a Redis that refuses writes it says why."""
    name = f"{facts.get('server_name') or 'Redis'} {facts.get('valkey_version') or facts.get('redis_version')}"
    trouble = _refuses_writes(facts)
    if trouble:
        return Verdict("Redis", "failed", f"{name} answers, but {trouble[0]}", trouble[1])
    policy = str(facts.get("maxmemory_policy", "noeviction"))
    if facts.get("maxmemory") and policy != "noeviction":
        hint = "Set maxmemory-policy to noeviction. Nothing is lost for good: all of it is made anew from Vault."
        return Verdict("Redis", "warning", f"{name} may drop keys when it is full ({policy})", hint)
    return Verdict("Redis", "ok", f"{name} answers and takes writes")


def _refuses_writes(facts: Mapping[str, Any]) -> tuple[str, str] | None:
    if facts.get("role") not in (None, "master"):
        return "it is a replica, which takes no writes", "Let REDIS_URL name the primary."
    if facts.get("loading"):
        return "it is still loading its data", "Wait a moment, then check again."
    if facts.get("aof_last_write_status", "ok") != "ok":
        return "it cannot write its append-only file", "Look at its log and at the space on its disk."
    if facts.get("rdb_last_bgsave_status", "ok") != "ok":
        return "its last snapshot failed, and it may refuse writes", "Look at its log and at the space on its disk."
    most, used = facts.get("maxmemory") or 0, facts.get("used_memory") or 0
    if most and used > NEARLY_FULL * most and facts.get("maxmemory_policy") == "noeviction":
        return f"it is nearly full ({used} of {most} bytes)", "Raise maxmemory: when it is full it takes no writes."
    return None


def _workers(runtime: Runtime) -> Verdict:
    try:
        seen = runtime.shared.heartbeats.last_seen()
    except QueueUnavailable as error:
        return Verdict("worker", "warning", error.what, error.hint)
    return of_workers(seen, runtime.clock.now())


def _watch(runtime: Runtime) -> Iterator[Verdict]:
    try:
        behind = watch_behind(runtime)
    except QueueUnavailable as error:
        yield Verdict("watch", "warning", error.what, error.hint)
        return
    if behind:
        yield Verdict(
            "watch", "warning", f"{behind} targets are not watched as often as watch_every says", MORE_THREADS
        )


def of_workers(seen: Mapping[str, datetime], now: datetime) -> Verdict:
    """The workers, by when each showed itself last; one that was killed never says that it ends."""
    ages = {name: now - at for name, at in sorted(seen.items())}
    there = [name for name, age in ages.items() if age <= timedelta(seconds=SILENT_SECONDS)]
    silent = [f"{name} was last seen {when(seen[name], now)}" for name in ages if name not in there]
    if not there:
        hint = "Start one with `rotator worker`."
        return Verdict("worker", "warning", "; ".join(["none is there, so nothing is rotated", *silent]), hint)
    return Verdict("worker", "ok", "; ".join([f"{len(there)} there: {', '.join(there)}", *silent]))
