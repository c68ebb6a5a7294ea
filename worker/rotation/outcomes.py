"""What the change of a record says of rotations and keys that ended; for who counts them. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from worker.events import Event
from worker.rotation.changes.rotation import MANUAL, SCHEDULE
from worker.rotation.history import Entry
from worker.rotation.record import Record, Rotation
from worker.targets.account import DEFAULT_ACCOUNT

SUCCEEDED, UNCONFIRMED, FAILED = "succeeded", "unconfirmed", "failed"


def account_of(before: Record, after: Record) -> str:
    """The account of the rotation that a change ended."""
    known = before.rotation or after.failure or after.current
    return known.account if known else DEFAULT_ACCOUNT


def outcome(before: Record, after: Record, entries: tuple[Entry, ...]) -> tuple[str, str] | None:
    """The trigger and the outcome of a rotation that this change ended; None where it ended none.

    A failure that repeats is one more each time, although the history tells the first only.
    """
    events = {entry.event for entry in entries}
    if Event.ROTATION_SUCCEEDED in events:
        return _trigger(before), SUCCEEDED
    if Event.CREATE_UNCONFIRMED in events:
        return _trigger(before), UNCONFIRMED
    same = before.failure and after.failure and before.failure.account == after.failure.account
    last = before.failure.count if before.failure and same else 0
    if after.failure and after.failure.count > last:
        return _trigger(before), FAILED
    return None


def whole(before: Record, after: Record, entries: tuple[Entry, ...]) -> tuple[Rotation, str] | None:
    """The rotation that this change brought to its end for good, and its outcome; a failure may leave it under way."""
    rotation = before.rotation
    if rotation is None or (after.rotation and after.rotation.id == rotation.id):
        return None
    if not any(entry.rotation_id == rotation.id for entry in entries):
        return None  # another one brought it to its end meanwhile
    ended = outcome(before, after, entries)
    return rotation, ended[1] if ended else FAILED


def revocations(before: Record, entries: tuple[Entry, ...]) -> Iterator[tuple[float, str]]:
    """Of each key that this change notes as dead: how many seconds after its delete, and the account it was on."""
    leaving = {key.access_key: key for key in before.leaving}
    for entry in entries:
        key = leaving.get(entry.access_key or "")
        if entry.event == Event.KEY_DEAD and entry.at and key and key.deleted_at:
            yield max(0.0, (entry.at - key.deleted_at).total_seconds()), key.account


def _trigger(before: Record) -> str:
    """Why the rotation was begun; one that failed before its beginning is named after what wanted it."""
    if before.rotation:
        return before.rotation.trigger
    return MANUAL if before.requests else SCHEDULE
