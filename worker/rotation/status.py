"""A target's record beside its configuration: when it is due, whether both agree, and what is shown of it.

Pure, and imported in a moment: ``rotator status TARGET`` needs no more than this and
:mod:`worker.adapters.vault.opening`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from worker.errors import Conflict, RotatorError
from worker.events import Event
from worker.rotation.changes.watch import HEALINGS_PER_DAY, wants_healing
from worker.rotation.copies import lacking
from worker.rotation.decide import RETIRING_LIMIT, Wait, decide, may_move, waits_for_person
from worker.rotation.record import Paused, Record, Trouble, UnconfirmedCreate, version_at
from worker.targets.account import DEFAULT_ACCOUNT, logged
from worker.targets.freeze import freeze_at, thawed
from worker.targets.schedule import next_rotation
from worker.targets.target import Target

REMEMBERED = timedelta(minutes=1)
"""How long after its end a wait is still what a target waits for: it is looked at again each tick."""


def due_at(record: Record, target: Target, now: datetime) -> datetime | None:
    """When the next rotation of a target begins by itself: by the schedule, or as a person set it. None: never.

    Now where the current key lies on another account than the target belongs to, and where a copy of the app's secret
    is wanted that is not there yet: only a new key can be put there.
    """
    if may_move(record, target.account, now) or lacking(record, target):
        return max(thawed(target.freezes, now), now)
    if record.next_at:
        free = thawed(target.freezes, max(record.next_at, now))
        return free if free > now else record.next_at
    current = record.current
    last = target.schedule.counts_from(current.created_at, current.published_at) if current else None
    return next_rotation(target.schedule, target.name, last, now, target.freezes)


def moved(record: Record, target: Target) -> Conflict | None:
    """What is wrong when the configuration names another path than the one that the record was begun with."""
    if record.path == target.path or record.is_bare:
        return None
    return Conflict(
        f"the target was published at {record.path}, and is configured at {target.path}",
        target=target.name,
        hint="Apps may still read there: give the new path to a new target, and keep this one as it was.",
    )


def failing_since(record: Record) -> datetime:
    """When the failures in a row began, as far as the history in the record tells: the first of each kind is in it."""
    failure = record.failure
    if failure is None:
        raise ValueError("there is no failure")
    first = failure.at
    for entry in record.history.newest_first():
        if entry.event in (Event.ROTATION_SUCCEEDED, Event.SECRET_PUBLISHED):
            break
        if entry.event == Event.ROTATION_FAILED and entry.at:
            first = entry.at
    return min(first, failure.at)


def held_back(retiring: Iterable[tuple[datetime, str]]) -> str:
    """Why no further key is made because of those on their way out, and until when; empty where one may be.

    Of each its next moment, and why its last step failed.
    """
    keys = sorted(retiring)
    if len(keys) < RETIRING_LIMIT:
        return ""
    errors = [error for _, error in keys if error]
    why = f"the last error: {errors[-1]}" if errors else "their grace periods are not over"
    first = keys[0][0].isoformat(timespec="seconds")
    return f"{len(keys)} keys are retiring, and hold a new request back until {first} at the earliest ({why})"


def held_back_by(record: Record) -> str:
    """:func:`held_back` by a record."""
    return held_back((key.wanted_at, key.error) for key in record.retiring)


def outlook(record: Record, target: Target, now: datetime) -> Wait:
    """What a target waits for, by its record alone: until now where a step is due."""
    due, freeze = due_at(record, target, now), freeze_at(target.freezes, now)
    step = decide(record, due, now, {}, freeze=freeze, account=target.account)
    return step if isinstance(step, Wait) else Wait(now, "the next step is due")


def with_reason(summary: dict[str, Any], remembered: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    """With what the last look found the target to wait for, which is on no record: a place for its create, an account.

    ``remembered`` is the summary of that look; one that is old, or of another state, tells nothing.
    """
    if remembered is None or datetime.fromisoformat(summary["waits_until"]) > now:
        return summary
    known, until = str(remembered.get("waits_for") or ""), remembered.get("waits_until")
    fresh = isinstance(until, str) and datetime.fromisoformat(until) > now - REMEMBERED
    same = all(summary.get(name) == remembered.get(name) for name in ("phase", "access_key", "rotation_id"))
    return summary | {"waits_for": known, "waits_until": until} if fresh and same and ": " in known else summary


def summary_of(record: Record, target: Target, now: datetime) -> dict[str, Any]:
    """:func:`summarize` by the record alone."""
    return summarize(record, due_at(record, target, now), outlook(record, target, now))


def summarize(record: Record, next_rotation_at: datetime | None, wait: Wait) -> dict[str, Any]:
    """One target as ``rotator status`` shows it; times are ISO 8601 in UTC; holds no secret."""
    current, rotation = record.current, record.rotation
    return {
        "target": record.target,
        "phase": record.phase.value,
        "access_key": current.access_key if current else None,
        "vault_version": current.vault_version if current else None,
        "request_id": current.request_id if current else None,
        "created_at": _text(current.created_at) if current else None,
        "published_at": _text(current.published_at) if current else None,
        "next_rotation_at": _text(next_rotation_at) if next_rotation_at else None,
        "waits_until": _text(wait.until),
        "waits_for": wait.why,
        "path": record.path,
        "rotation_id": rotation.id if rotation else (current.rotation_id if current else None),
        "staged_access_key": rotation.key.access_key if rotation and rotation.key else None,
        "requests": len(record.requests),
        "requested_at": _text(record.requests[0].at) if record.requests else None,
        "retiring": [
            {
                "access_key": key.access_key,
                "retire_after": _text(key.retire_after),
                "state": key.state,
                "why": key.why.value,
                "error": key.error,
                **logged(key.account),
            }
            for key in record.retiring
        ],
        "unconfirmed_creates": [create_facts(create) for create in record.unconfirmed_creates if create.open],
        "trouble": _trouble(record.trouble) if record.trouble else None,
        "deletes_held": record.deletes_held,
        "needs_person": needs_person(record),
        "last_failure_at": _moment_or_none(last_failure(record)),
        "last_error": _error(record) if record.failure else None,
        **_held(record),
    }


def needs_person(record: Record) -> bool:
    """Whether something does not go on before a person has decided: no key is made, or none is deleted."""
    given_up = wants_healing(record) and len(record.healings) >= HEALINGS_PER_DAY
    return record.deletes_held or given_up or waits_for_person(record.unconfirmed_creates)


def last_failure(record: Record) -> datetime | None:
    """When a rotation failed last, as far as the record tells: also one that has succeeded since."""
    return record.failure.at if record.failure else record.history.newest_moment(Event.ROTATION_FAILED)


def unusable(error: RotatorError, target: str) -> dict[str, Any]:
    """A summary for a target whose record cannot be used, or is in conflict with the configuration."""
    return {
        "target": target,
        "phase": "unreadable",
        "access_key": None,
        "vault_version": None,
        "request_id": None,
        "created_at": None,
        "next_rotation_at": None,
        "retiring": [],
        "unconfirmed_creates": [],
        "trouble": None,
        "deletes_held": False,
        "last_error": {"what": error.what, "hint": error.hint, "kind": type(error).__name__},
    }


def create_facts(create: UnconfirmedCreate) -> dict[str, Any]:
    """All that is known of an unconfirmed create."""
    return {
        "rotation_id": create.rotation_id,
        "at": _text(create.at),
        "label": create.label,
        "error": create.error,
        "request_id": create.request_id,
        "key_count_before": create.key_count_before,
        "key_count_after": create.key_count_after,
        **logged(create.account),
    }


def _held(record: Record) -> dict[str, Any]:
    """Its copies, where its key lies, and what people have said of its next rotation.

    Left out where nothing was said and it is as in releases before, so that workers of those read it, too.
    """
    paused = record.paused
    found = {
        "copies": list(_copies(record)),
        "paused": _paused(paused) if paused else None,
        "rescheduled": bool(record.next_at),
        "leaked": record.leaked,
        "key_account": record.current.account if record.current and record.current.account != DEFAULT_ACCOUNT else None,
    }
    return {name: value for name, value in found.items() if value}


def _copies(record: Record) -> Iterator[dict[str, Any]]:
    """Each copy of the app's secret, and whether it has the key already that a rotation is publishing."""
    current, rotation = record.current, record.rotation
    old, new = current.copies if current else (), rotation.copies if rotation else ()
    for location in dict.fromkeys(copy.location for copy in (*old, *new)):
        version = version_at(new, location)
        yield {
            "location": location,
            "vault_version": version or version_at(old, location),
            "has_new_key": version is not None,
        }


def _paused(paused: Paused) -> dict[str, Any]:
    until = _text(paused.until) if paused.until else None
    return {"at": _text(paused.at), "by": paused.by, "reason": paused.reason, "until": until}


def _trouble(trouble: Trouble) -> dict[str, Any]:
    return {
        "kind": trouble.kind.value,
        "since": _text(trouble.since),
        "what": trouble.what,
        "confirmed": trouble.confirmed,
    }


def _error(record: Record) -> dict[str, Any]:
    failure = record.failure
    if failure is None:
        return {}
    return {
        "since": _text(failing_since(record)),
        "at": _text(failure.at),
        "what": failure.what,
        "hint": failure.hint,
        "kind": failure.kind,
        "operation": failure.operation,
        "request_id": failure.request_id,
        "count": failure.count,
        "retry_at": _text(failure.retry_at),
    }


def _moment_or_none(moment: datetime | None) -> str | None:
    return _text(moment) if moment else None


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
