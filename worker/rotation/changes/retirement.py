"""How a retiring key moves on in its record: deleted, probed, proven dead. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from worker.errors import HostUpUncertain, RotatorError, Superseded
from worker.events import Event
from worker.rotation.changes.rotation import note, other
from worker.rotation.history import Entry
from worker.rotation.ports import DeletedKey, Probe
from worker.rotation.record import Record, RetiringKey
from worker.rotation.texts import short
from worker.targets.account import DEFAULT_ACCOUNT


def find(record: Record, access_key: str) -> RetiringKey:
    """The key of this name that is on its way out; raises Superseded when another worker has finished with it."""
    for key in record.leaving:
        if key.access_key == access_key:
            return key
    raise Superseded(f"access key {access_key} is no longer retiring", target=record.target)


def deleted(record: Record, access_key: str, answer: DeletedKey, now: datetime) -> Record:
    """HostUp confirmed the delete, or knows no such key; now it has to be proven dead.

    Raises Superseded when the key was proven dead meanwhile, unless it was this delete that it died of.
    """
    if not any(key.access_key == access_key for key in record.leaving) and answer.was_there:
        return _deleted_long_ago(record, access_key, answer, now)
    key = find(record, access_key)
    if key.deleted_at and key.delete_request_id == answer.request_id:
        return record  # written before, only Vault's answer was lost
    gone = replace(
        key,
        deleted_at=key.deleted_at or now,
        delete_request_id=answer.request_id or key.delete_request_id,
        next_look_at=now,
        attempts=0,
        error="",
    )
    facts = {"why": key.why.value, "grace_end": key.retire_after.isoformat(), "account": other(key.account)}
    noted = delete_noted(record, access_key, answer, now, rotation_id=key.rotation_id, **facts)
    return _with(noted, gone)


def delete_noted(
    record: Record,
    access_key: str,
    answer: DeletedKey,
    now: datetime,
    *,
    rotation_id: str | None = None,
    **facts: object,
) -> Record:
    """Add to the history that HostUp deleted a key, or knows no such key."""
    return note(
        record,
        Event.KEY_RETIRED,
        now,
        rotation_id=rotation_id,
        request_id=answer.request_id,
        access_key=access_key,
        **facts,
        form=answer.form,
        status=answer.status,
    )


def _deleted_long_ago(record: Record, access_key: str, answer: DeletedKey, now: datetime) -> Record:
    """The worker that deleted it was frozen, and others did the rest: only its requestId is missing in the history."""
    if any(_tells_of(entry, access_key, answer.request_id) for entry in record.history.entries()):
        return record
    return delete_noted(record, access_key, answer, now)


def _tells_of(entry: Entry, access_key: str, request_id: str | None) -> bool:
    return (entry.event, entry.access_key, entry.request_id) == (Event.KEY_RETIRED, access_key, request_id)


def grace_extended(record: Record, access_key: str, end: datetime, now: datetime) -> Record:
    """Have a key live longer than its grace, because Vault could not be read."""
    key = find(record, access_key)
    if key.deleted_at or key.leaked or key.retire_after >= end:
        return record
    noted = note(
        record,
        Event.GRACE_EXTENDED,
        now,
        rotation_id=key.rotation_id,
        access_key=access_key,
        grace_until=end.isoformat(timespec="seconds"),
        why="Vault could not be reached",
    )
    return _with(noted, replace(key, retire_after=end, next_look_at=end))


def delete_failed(record: Record, access_key: str, why: RotatorError, retry_at: datetime, now: datetime) -> Record:
    """The delete did not go through, or must not be made; it is tried again at ``retry_at``.

    The same error again is not noted again, unless the delete may have worked all the same: then its requestId must be
    found (promise 8).
    """
    key = find(record, access_key)
    error = short(type(why).__name__ + ": " + why.what)
    may_be_done = isinstance(why, HostUpUncertain) and why.request_id is not None
    if error != key.error or may_be_done:
        record = note(
            record,
            Event.KEY_RETIRE_FAILED,
            now,
            rotation_id=key.rotation_id,
            request_id=why.request_id,
            access_key=access_key,
            error=why.what,
            account=other(key.account),
        )
    return _with(record, replace(key, next_look_at=retry_at, attempts=key.attempts + 1, error=error))


def still_alive(record: Record, access_key: str, next_look_at: datetime, *, overdue: bool, now: datetime) -> Record:
    """A deleted key is not refused yet; ``overdue`` once that has lasted longer than caches explain."""
    key = find(record, access_key)
    if overdue and not key.overdue:
        at = other(key.account)
        record = note(record, Event.KEY_OVERDUE, now, rotation_id=key.rotation_id, access_key=access_key, account=at)
    return _with(
        record, replace(key, next_look_at=next_look_at, attempts=key.attempts + 1, overdue=key.overdue or overdue)
    )


def delete_again(record: Record, access_key: str, now: datetime) -> Record:
    """A key that lives on long after its delete is deleted once more."""
    key = find(record, access_key)
    return _with(record, replace(key, deleted_at=None, next_look_at=now, attempts=0, undiminished=None))


def uncounted(record: Record, access_key: str, before: int, after: int, now: datetime) -> Record:
    """HostUp confirmed the delete, and counted no fewer keys afterwards: the delete alone is not to be believed."""
    key = find(record, access_key)
    noted = note(
        record,
        Event.KEY_UNCOUNTED,
        now,
        rotation_id=key.rotation_id,
        request_id=key.delete_request_id,
        access_key=access_key,
        key_count_before=before,
        key_count_after=after,
        account=other(key.account),
    )
    error = f"HostUp counted {before} keys before its delete, and {after} after it"
    return _with(noted, replace(key, undiminished=before, error=error))


def counted_after_all(record: Record, before: datetime, account: str = DEFAULT_ACCOUNT) -> Record:
    """An audit found every key of the account explained: so those of it that were deleted before a moment are gone."""
    changed = record
    for key in record.leaving:
        if key.account == account and key.undiminished is not None and key.deleted_at and key.deleted_at < before:
            changed = _with(changed, replace(key, undiminished=None, error=""))
    return changed


def dead(record: Record, access_key: str, proof: Probe, now: datetime) -> Record:
    """The object storage refuses the key: it leaves the record, with the proof in the history."""
    key = find(record, access_key)
    noted = note(
        record,
        Event.KEY_DEAD,
        now,
        rotation_id=key.rotation_id,
        request_id=key.delete_request_id,
        access_key=access_key,
        vault_version=key.vault_version,
        code=proof.code,
        proof=proof.detail,
        storage_request_id=proof.request_id,
        account=other(key.account),
    )
    if noted.revoked and noted.revoked.access_key == access_key:
        return replace(noted, revoked=None)  # it stays the current one until another replaces it
    return replace(noted, retiring=tuple(k for k in noted.retiring if k.access_key != access_key))


def _with(record: Record, key: RetiringKey) -> Record:
    if record.revoked and record.revoked.access_key == key.access_key:
        return replace(record, revoked=key)
    keys = tuple(key if known.access_key == key.access_key else known for known in record.retiring)
    return replace(record, retiring=keys)
