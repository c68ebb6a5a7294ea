"""A key leaked and no other can be made: by a person's word the current one is deleted all the same. Pure.

It stays the current key on record, as a key that died does, until another one replaces it; and like any key that was
deleted it is probed until it is dead, and deleted again should it live on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from worker.errors import Superseded, TryAgainLater, UsageError
from worker.events import Event
from worker.rotation.changes.retirement import delete_noted
from worker.rotation.changes.rotation import note, other, to_retire, without_grace
from worker.rotation.ports import DeletedKey
from worker.rotation.record import CurrentKey, Phase, Record, Trouble, TroubleKind, Why
from worker.rotation.texts import short_name

REVOKED = "it leaked, and was deleted by a person's word although there was no other"


def revocation(record: Record, access_key: str, by: str, now: datetime) -> Record:
    """The current key is to be deleted, although apps read it, and with it those in grace: on record before it happens.

    Raises UsageError when another key is current than the one that was shown, or nothing may be deleted;
    TryAgainLater when a new key is on its way.
    """
    if record.revoking == access_key or _was_revoked(record, access_key):
        return record
    name, current = record.target, record.current
    if current is None or current.access_key != access_key:
        raise UsageError(
            f"access key {access_key} is not current any more",
            target=name,
            hint=f"Nothing was deleted for this. See `rotator find {access_key}`.",
        )
    if record.deletes_held:
        raise UsageError(
            "Vault was set back, so nothing is deleted",
            target=name,
            hint=f"Look which key is which, then run `rotator settle {name} --restored`.",
        )
    if record.rotation and record.rotation.phase is not Phase.CREATING:
        raise TryAgainLater(
            "a new key is made, and only waits to be published",
            target=name,
            hint="The old one is deleted as soon as it is. Nothing was deleted before. If a copy cannot be written, "
            f"take that out of `also` (`rotator status {name}` names it).",
        )
    noted = note(
        record,
        Event.KEY_REVOKED,
        now,
        rotation_id=current.rotation_id,
        access_key=access_key,
        vault_version=current.vault_version,
        by=short_name(by),
        why="leaked",
    )
    noted, retiring = without_grace(noted, None, record.retiring, now, now)
    return replace(noted, revoking=access_key, retiring=retiring)


def revoked(record: Record, access_key: str, answer: DeletedKey, now: datetime) -> Record:
    """HostUp deleted the current key, or knows no such key: a new one is wanted as for one that died.

    Raises Superseded when another key is current by now.
    """
    if record.revoked and record.revoked.delete_request_id == answer.request_id:
        return record  # written before, only Vault's answer was lost
    current = to_revoke(record, access_key)
    facts = {"why": Why.REVOKED.value, "account": other(current.account)}
    noted = delete_noted(record, access_key, answer, now, rotation_id=current.rotation_id, **facts)
    trouble = Trouble(kind=TroubleKind.KEY_REFUSED, access_key=access_key, since=now, what=REVOKED, confirmed=True)
    key = replace(
        to_retire(access_key, Why.REVOKED, current.rotation_id, current.request_id, now),
        vault_version=current.vault_version,
        copies=current.copies,
        account=current.account,
        deleted_at=now,
        delete_request_id=answer.request_id,
        leaked=True,
    )
    return replace(noted, revoking="", revoked=key, trouble=trouble)


def _was_revoked(record: Record, access_key: str) -> bool:
    trouble = record.trouble
    return trouble is not None and (trouble.access_key, trouble.what) == (access_key, REVOKED)


def to_revoke(record: Record, access_key: str) -> CurrentKey:
    """The current key, if it is the one that is to be deleted. Raises Superseded."""
    current = record.current
    if current is None or record.revoking != access_key or current.access_key != access_key:
        raise Superseded(f"access key {access_key} is not to be revoked any more", target=record.target)
    return current
