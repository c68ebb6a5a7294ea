"""What workers are given to do in a trial, and waiting until they have done it.

A first rotation, one on demand, a retirement with proof, an audit, and history that has to be archived: the whole of a
worker's work, in a few seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from worker.selftest.checker import BrokenPromise, orphans, unrest
from worker.selftest.evidence import Json
from worker.selftest.stand import Bench, Stand

PATIENCE = 120.0
"""Seconds until a trial is given up; one takes five to ten."""

RESEND_SECONDS = 3.0

AUDITS = 2
"""The first that is done after a target's rest may have begun before it, and tell what was then."""

REQUEST = "message-of-the-trial"
SEEDED = 52
"""History entries that are put into the record, so that it has to be archived."""

_LOOK = 0.1


class Stuck(Exception):
    """A trial did not get on; the text says what it waited for."""


def lead(stand: Stand, over: Callable[[], bool]) -> None:
    """What the first worker is given to do, one thing after the other, until it is over with it."""
    stand.send("rotator.tick")
    if not wait(lambda: unrest(_record(stand)) == "", "the first rotation", over):
        return
    seed_history(stand)
    stand.send("rotator.rotate", stand.watched.name, "the trial", task_id=REQUEST)
    if not wait(lambda: _is_served(_record(stand)), "the rotation on demand", over):
        return
    if not wait(lambda: _is_due(_record(stand)), "the end of the grace period", over):
        return
    stand.send("rotator.tick")
    if not wait(lambda: unrest(_record(stand)) == "", "the retirement", over):
        return
    stand.send("rotator.audit")
    wait(lambda: _audits(stand) != [], "the audit", over)


def lead_through_harm(stand: Stand, over: Callable[[], bool]) -> None:
    """The same where strangers take what apps read: the app's secret, which comes back, and the key, for another one.

    To be led with a short ``watch_every``.
    """
    stand.send("rotator.tick")
    if not wait(lambda: unrest(_record(stand)) == "", "the first rotation", over):
        return
    mount, path = stand.mount, stand.watched.path
    first = (mount.data(path) or {})["access_key"]
    mount.vault.call("DELETE", f"{mount.mount}/data/{path}")
    if not wait(_ticking(stand, lambda: mount.data(path) is not None), "the secret that was deleted", over):
        return
    if not wait(_ticking(stand, lambda: unrest(_record(stand)) == ""), "a look after it", over):
        return
    stand.simulator.admin.remove_key(first)
    wait(_ticking(stand, lambda: _replaced(_record(stand), first)), "another key for the one that died", over)


def _replaced(record: Json | None, access_key: str) -> bool:
    current = (record or {}).get("current") or {}
    return current.get("access_key") not in (None, access_key) and unrest(record) == ""


def _ticking(stand: Stand, holds: Callable[[], bool]) -> Callable[[], bool]:
    """The same, with a tick each second meanwhile, as no beat runs."""
    sent = float("-inf")

    def look() -> bool:
        nonlocal sent
        if time.monotonic() - sent > 1.0:
            stand.send("rotator.tick")
            sent = time.monotonic()
        return holds()

    return look


def follow(stand: Stand, bench: Bench, then: Callable[[], None] = lambda: None) -> Iterator[BrokenPromise]:
    """Another worker, with beat, brings the target to rest and audits it; the request comes again, as messages may."""
    stand.script.clear()
    worker = stand.worker(bench.nursery, concurrency=2, beat=True)
    try:
        _rest(stand)
        then()
        _rest(stand)
        yield from _drift(stand)
    finally:
        worker.kill()


def _rest(stand: Stand) -> None:
    """Wait for rest. The request is sent again and again: a message may lie in the hands of a worker that is frozen."""
    sent = float("-inf")

    def rests() -> bool:
        nonlocal sent
        record = _record(stand)
        if not _is_served(record) and time.monotonic() - sent > RESEND_SECONDS:
            stand.send("rotator.rotate", stand.watched.name, "the trial", task_id=REQUEST)
            sent = time.monotonic()
        return _is_served(record) and unrest(record) == ""

    wait(rests, "the target's rest", never, stand)


def _drift(stand: Stand) -> Iterator[BrokenPromise]:
    """Promise 3: what an answer that never arrived left behind is seen as drift."""
    for _ in range(AUDITS):
        before = len(_audits(stand))
        wait(partial(_has_counted, stand, before), "an audit that could count", never)
        left, reported = len(orphans(stand.evidence())), _reported(stand)
        if reported == left:
            return
    yield BrokenPromise(3, stand.watched.name, f"{left} keys are left over, and the audit reports {reported}")


def _has_counted(stand: Stand, before: int) -> bool:
    return len(_audits(stand)) > before and _reported(stand) is not None


def _reported(stand: Stand) -> object:
    """What the last audit reports; None where HostUp or Vault did not answer it, as happens on a busy machine."""
    return _audits(stand)[-1].get("drift")


def _record(stand: Stand) -> Json | None:
    return stand.mount.record(stand.watched.name)


def _is_served(record: Json | None) -> bool:
    served = [request for request, _ in (record or {}).get("served", [])]
    return REQUEST in served and (record or {}).get("rotation") is None


def _is_due(record: Json | None) -> bool:
    return all(datetime.fromisoformat(k["retire_after"]) < datetime.now(UTC) for k in (record or {})["retiring"])


def _audits(stand: Stand) -> list[Json]:
    text = stand.log.read_text("utf-8") if stand.log.exists() else ""
    lines = (json.loads(line) for line in text.splitlines() if '"audit.done"' in line and line.endswith("}"))
    return [line for line in lines if line["event"] == "audit.done"]


def seed_history(stand: Stand) -> None:
    """Give the record a past, so that it has to be archived."""
    vault, path = stand.mount.vault, f"{stand.mount.mount}/data/{stand.mount.state_path}/{stand.watched.name}"
    answer = vault.call("GET", path)["data"]
    record, version = answer["data"], answer["metadata"]["version"]
    first = record["next_entry"]
    at = datetime.now(UTC).isoformat()
    record["history"] += [json.dumps({"n": n, "at": at, "event": "seeded"}) for n in range(first, first + SEEDED)]
    record["next_entry"] = first + SEEDED
    vault.call("POST", path, {"data": record, "options": {"cas": version}})


def never() -> bool:
    """For what cannot be over before it holds."""
    return False


def wait(holds: Callable[[], bool], what: str, over: Callable[[], bool], stand: Stand | None = None) -> bool:
    """Wait until it holds; False when it is over first. Raises Stuck after two minutes."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if over():
            return False
        if time.monotonic() > deadline:
            seen = f" (the target: {unrest(_record(stand))})" if stand else ""
            raise Stuck(f"{what} did not come within {PATIENCE:.0f} s{seen}")
        time.sleep(_LOOK)
    return True
