"""Unconfirmed creates: calls that may or may not have made a key; recorded, counted again, settled. Pure.

See :mod:`worker.rotation.changes.rotation`; what a person settles is in :mod:`worker.rotation.changes.settlement`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from worker.errors import RotatorError, Superseded
from worker.events import Event
from worker.rotation.changes.rotation import (
    Holder,
    came_late,
    creating,
    failed,
    is_of,
    note,
    other,
    pruned,
    put_aside,
    to_retire,
)
from worker.rotation.record import Record, Rotation, UnconfirmedCreate, Why
from worker.rotation.texts import short
from worker.targets.account import DEFAULT_ACCOUNT


@dataclass(frozen=True, slots=True)
class CreateOutcome:
    """What is known of a create call that may have made a key."""

    why: RotatorError
    key_count_after: int | None
    access_key: str | None = None


def create_unconfirmed(
    record: Record, holder: Holder, outcome: CreateOutcome, now: datetime, retry_at: datetime
) -> Record:
    """Nobody knows whether a key was made: record it, end the rotation, begin another at ``retry_at``.

    Where the answer named the key (but no secret), nothing is unknown: that key is retired. What an answer names that
    came after another worker took over is kept as well; where it names nothing, raises Superseded.
    """
    if record.rotation is None or not is_of(record.rotation, holder):
        return _came_late(record, holder, outcome, now)
    rotation = creating(record, holder)
    ended = replace(record, rotation=None)
    if outcome.access_key and outcome.access_key not in record.keys_on_record():
        key = to_retire(outcome.access_key, Why.UNUSABLE, rotation.id, outcome.why.request_id, now)
        ended = put_aside(ended, replace(key, account=rotation.account), now)
    else:
        ended = _with_unconfirmed(ended, rotation, outcome, now)
    return failed(
        ended, outcome.why, now, retry_at, operation="create", rotation_id=rotation.id, account=rotation.account
    )


def _came_late(record: Record, holder: Holder, outcome: CreateOutcome, now: datetime) -> Record:
    access_key, request_id = outcome.access_key, outcome.why.request_id
    if access_key and access_key in record.keys_on_record():
        return record
    if access_key:
        key = to_retire(access_key, Why.UNUSABLE, holder.rotation_id, request_id, now)
        return came_late(put_aside(record, replace(key, account=holder.account), now), holder, access_key)
    known = next((each for each in record.unconfirmed_creates if each.rotation_id == holder.rotation_id), None)
    if known is None or not known.open or not request_id or known.request_id == request_id:
        raise Superseded(f"rotation {holder.rotation_id} was taken over", target=record.target)
    told = replace(known, request_id=request_id, error=short(outcome.why.what))
    noted = note(
        record,
        Event.CREATE_UNCONFIRMED,
        now,
        rotation_id=told.rotation_id,
        request_id=request_id,
        label=told.label,
        error=told.error,
        account=other(told.account),
    )
    creates = tuple(told if each is known else each for each in record.unconfirmed_creates)
    return replace(noted, unconfirmed_creates=creates)


def _with_unconfirmed(record: Record, rotation: Rotation, outcome: CreateOutcome, now: datetime) -> Record:
    create = UnconfirmedCreate(
        rotation_id=rotation.id,
        at=rotation.started_at,
        label=rotation.label,
        error=short(outcome.why.what),
        request_id=outcome.why.request_id,
        key_count_before=rotation.key_count_before,
        key_count_after=outcome.key_count_after,
        account=rotation.account,
    )
    noted = note(
        record,
        Event.CREATE_UNCONFIRMED,
        now,
        rotation_id=rotation.id,
        request_id=create.request_id,
        label=create.label,
        error=create.error,
        key_count_before=create.key_count_before,
        key_count_after=create.key_count_after,
        account=other(create.account),
    )
    return replace(noted, unconfirmed_creates=(*record.unconfirmed_creates, create))


def recounted(record: Record, key_count: int | None, account: str = DEFAULT_ACCOUNT) -> Record:
    """Fill in an account's ``keyCount`` for open creates of it where it was not known at the time.

    None changes nothing. It settles nothing, and a count that is known stays: other targets' keys come and go in the
    same account meanwhile.
    """
    if key_count is None:
        return record
    creates = tuple(
        replace(create, key_count_after=key_count)
        if create.open and create.account == account and create.key_count_after is None
        else create
        for create in record.unconfirmed_creates
    )
    return record if creates == record.unconfirmed_creates else replace(record, unconfirmed_creates=creates)


def explained(record: Record, before: datetime, now: datetime, account: str = DEFAULT_ACCOUNT) -> Record:
    """Settle the open creates of an account from before a moment: an audit found every key of the account explained."""
    verdict = "no key was made: the audit explains every key of the account"
    creates = (create for create in record.unconfirmed_creates if create.account == account)
    settled = [create for create in creates if create.open and create.at < before]
    for create in settled:
        record = note(record, Event.CREATE_SETTLED, now, rotation_id=create.rotation_id, verdict=verdict)
    marked = tuple(
        replace(create, settled=verdict) if create in settled else create for create in record.unconfirmed_creates
    )
    return replace(record, unconfirmed_creates=pruned(marked)) if settled else record
