"""An old key becomes current again, while it lives. Pure; what follows is a rotation whose key need not be made.

A rollback is begun with the key staged, and then goes the way of any rotation: published with check-and-set, recognised
by its rotation id after a crash, and the key that was current retires with its grace.

A worker may have read the record before, and be about to delete the key. It does so only with a record that it read
after the grace was over. So the intent has to be on record before that: the key is verified only by somebody who reads
the intent while the grace still lasts (``verify_by``); else it is given up.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from worker.errors import Superseded, TryAgainLater, UsageError
from worker.events import Event
from worker.rotation.changes.rotation import note, to_retire
from worker.rotation.record import Phase, Record, RetiringKey, Rotation, Why
from worker.rotation.texts import short, short_name


def brought_back(record: Record, access_key: str | None, now: datetime, margin: timedelta) -> RetiringKey:
    """The key that may become current again: the one of this name, else the one that was replaced last.

    Its grace has to last for ``margin`` at least: a worker that was slow may delete it from its end on. Raises
    UsageError where there is none, TryAgainLater while a rotation is under way.
    """
    _see_that_it_may_be(record)
    replaced = [key for key in record.retiring if key.why is Why.REPLACED]
    named = [key for key in replaced if access_key in (None, key.access_key)]
    if not named:
        what = f"access key {access_key} is not retiring" if access_key else "no key before this one lives any more"
        hint = "Only a key in its grace period can become current again. See `rotator status` and `rotator history`."
        raise UsageError(what, target=record.target, hint=hint)
    key = max(named, key=lambda each: each.retire_after)
    if key.deleted_at or key.retire_after - now <= margin:
        until = key.retire_after.isoformat(timespec="seconds")
        over = "is deleted already" if key.deleted_at else f"is to be deleted at {until}, which is too soon"
        raise UsageError(
            f"access key {key.access_key} {over}",
            target=record.target,
            hint=f"Nothing was changed. For a new key: `rotator rotate {record.target}`.",
        )
    if not key.vault_version:
        raise UsageError(
            f"nobody knows in which version of the app's secret access key {key.access_key} stood",
            target=record.target,
            hint="The secret was deleted with its metadata since. For a new key: `rotator rotate`.",
        )
    return key


def _see_that_it_may_be(record: Record) -> None:
    name, rotation = record.target, record.rotation
    if rotation:
        raise TryAgainLater(
            f"rotation {rotation.id} is under way ({rotation.phase})",
            target=name,
            hint=f"Nothing was changed. Run the command again when it is over; see `rotator status {name}`.",
        )
    if record.leaked or record.revoking or record.revoked:
        raise UsageError(
            "its key leaked, and is about to be replaced",
            target=name,
            hint="Nothing was changed. A key that strangers may have never becomes current again.",
        )
    if record.deletes_held:
        raise UsageError(
            "Vault was set back: what is on record may be older than what apps read",
            target=name,
            hint=f"Nothing was changed. Look which key is which, then run `rotator settle {name} --restored`.",
        )
    if record.current is None:
        raise UsageError("it has no current key", target=name, hint="Nothing was changed.")


def rollback_begun(record: Record, rotation: Rotation, margin: timedelta, by: str) -> Record:
    """Write the intent: the old key is staged, and has to be verified in time.

    Raises as :func:`brought_back`, where what was found before does not hold any more.
    """
    if record.rotation and record.rotation.id == rotation.id:
        return record
    access_key = rotation.key.access_key if rotation.key else None
    key = brought_back(record, access_key, rotation.started_at, margin)
    rotation = replace(rotation, reason=short(rotation.reason))
    noted = note(
        record,
        Event.ROTATION_STARTED,
        rotation.started_at,
        rotation_id=rotation.id,
        access_key=key.access_key,
        trigger=rotation.trigger,
        reason=rotation.reason,
        by=short_name(by),
        label=rotation.label,
        from_version=rotation.from_version,
    )
    left = tuple(each for each in record.retiring if each.access_key != key.access_key)
    return replace(noted, rotation=rotation, retiring=left)


def rollback_given_up(record: Record, rotation_id: str, why: str, now: datetime, margin: timedelta) -> Record:
    """The key is not made current: it retires as before, and works for its whole grace at least.

    Raises Superseded when the rollback is over, or the key was verified meanwhile.
    """
    rotation = record.rotation
    if rotation is None or rotation.id != rotation_id or rotation.phase is not Phase.STAGED or rotation.key is None:
        raise Superseded(f"rotation {rotation_id} is no longer staged", target=record.target)
    key = rotation.key
    left = to_retire(key.access_key, Why.REPLACED, rotation.id, key.request_id, max(now, key.verify_by) + margin)
    noted = note(
        record,
        Event.ROTATION_FAILED,
        now,
        rotation_id=rotation.id,
        access_key=key.access_key,
        operation="rollback",
        error=why,
    )
    back = replace(left, vault_version=rotation.from_version, copies=rotation.from_copies, account=rotation.account)
    retiring = (*record.retiring, back)
    return replace(noted, rotation=None, retiring=retiring)
