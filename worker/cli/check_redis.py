"""Whether Redis is there and takes writes, going by its INFO, and whether a worker is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from redis.exceptions import ResponseError

from worker.adapters.redis.client import guard, is_cluster
from worker.adapters.redis.errors import CLUSTER, NO_CLUSTER, first_word
from worker.adapters.redis.workers import SILENT_SECONDS
from worker.cli import check_sentinels
from worker.cli.texts import span
from worker.cli.verdicts import Verdict, failed
from worker.errors import QueueUnavailable
from worker.service.assemble import Runtime
from worker.service.audit_task import MORE_THREADS, watch_behind
from worker.settings.redis_url import read_redis_url

NEARLY_FULL = 0.9


def look(runtime: Runtime) -> Iterator[Verdict]:
    """Redis, the Sentinels before it if there are any, and the workers that have signed in there."""
    yield from check_sentinels.look(read_redis_url(runtime.settings.redis_url))
    try:
        facts = _info(runtime)
        verdict = judged(facts) if facts else Verdict("Redis", "ok", "answers and takes writes; more it may not tell")
        if verdict.state != "failed":
            runtime.shared.repairs.try_out(runtime.settings.queue)
        wrong = runtime.shared.repairs.wrong_types()
    except QueueUnavailable as error:
        yield failed("Redis", error)
        yield Verdict("worker", "warning", "not known: workers sign in at Redis")
        return
    yield verdict
    yield from _of_wrong_types(wrong)
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
        except ResponseError as error:
            if first_word(error) not in ("", "NOPERM"):
                raise
            return {}


def _of_wrong_types(found: Mapping[str, str]) -> Iterator[Verdict]:
    """Keys of ours that something else was written to."""
    if found:
        what = ", ".join(f"{key} ({kind})" for key, kind in found.items())
        hint = "A worker makes them anew at its next tick. See who else can write to this Redis."
        yield Verdict("Redis", "warning", f"keys of the worker's are of another type than it writes: {what}", hint)


def judged(facts: Mapping[str, Any]) -> Verdict:
    """Redis' INFO as a verdict; for a Redis that refuses writes it says why."""
    name = f"{facts.get('server_name') or 'Redis'} {facts.get('valkey_version') or facts.get('redis_version')}"
    trouble = _can_never_be_used(facts) or _refuses_writes(facts)
    if trouble:
        return Verdict("Redis", "failed", f"{name} answers, but {trouble[0]}", trouble[1])
    policy = str(facts.get("maxmemory_policy") or "noeviction")
    if facts.get("maxmemory") and policy != "noeviction":
        hint = "Set maxmemory-policy to noeviction. Nothing is lost for good: all of it is made anew from Vault."
        return Verdict("Redis", "warning", f"{name} may drop keys when it is full (maxmemory-policy {policy})", hint)
    return Verdict("Redis", "ok", f"{name} answers and takes writes")


def _can_never_be_used(facts: Mapping[str, Any]) -> tuple[str, str] | None:
    return (CLUSTER, NO_CLUSTER) if is_cluster(facts) else None


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
        return of_workers(runtime.shared.heartbeats.ages())
    except QueueUnavailable as error:
        return Verdict("worker", "warning", error.what, error.hint)


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


def of_workers(ages: Mapping[str, timedelta]) -> Verdict:
    """The workers, by how long ago each showed itself; one that was killed never says that it ends."""
    seen = [(age, f"{name} (seen {span(age)} ago)") for name, age in sorted(ages.items())]
    there = [text for age, text in seen if age <= timedelta(seconds=SILENT_SECONDS)]
    silent = [f"silent: {text}" for age, text in seen if age > timedelta(seconds=SILENT_SECONDS)]
    if not there:
        hint = "Start one with `rotator worker`."
        return Verdict("worker", "warning", "; ".join(["none is there, so nothing is rotated", *silent]), hint)
    return Verdict("worker", "ok", "; ".join([f"{len(there)} there: {', '.join(there)}", *silent]))
