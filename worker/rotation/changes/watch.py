"""What the watch found wrong with what apps read, and how a record changes by it. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from worker.errors import Superseded
from worker.events import Event
from worker.rotation.changes.rotation import DAY, note
from worker.rotation.ports import Seen
from worker.rotation.record import Record, Trouble, TroubleKind

HEALINGS_PER_DAY = 3
"""How many keys of a target are replaced in a day because they died; then a person has to find out what kills them."""

HASH_KEPT = 16
"""Characters of an entry's hash: enough to tell two histories apart."""

_EVENTS = {
    TroubleKind.KEY_REFUSED: Event.KEY_DIED,
    TroubleKind.KEY_DENIED: Event.KEY_DIED,
    TroubleKind.SECRET_LOST: Event.SECRET_LOST,
    TroubleKind.OVERWRITTEN: Event.CONFLICT_FOUND,
}


def healings_of(record: Record, now: datetime) -> tuple[datetime, ...]:
    """When rotations of the last day began because of trouble."""
    return tuple(moment for moment in record.healings if now - moment < DAY)


def wants_healing(record: Record) -> bool:
    """Whether apps cannot work with what they read, and a new key helps: not where somebody else wrote over it."""
    trouble = record.trouble
    return trouble is not None and trouble.confirmed and trouble.kind is not TroubleKind.OVERWRITTEN


def may_heal(record: Record, now: datetime) -> bool:
    """Whether a rotation may begin by itself to replace what apps cannot work with."""
    return wants_healing(record) and len(healings_of(record, now)) < HEALINGS_PER_DAY


def troubled(record: Record, trouble: Trouble) -> Record:
    """Record a trouble as it was found first; the same one again changes nothing.

    Raises Superseded when another key is current by now.
    """
    _see_that_it_is_current(record, trouble)
    known, deadly = record.trouble, trouble.kind in (TroubleKind.KEY_REFUSED, TroubleKind.KEY_DENIED)
    if (known and known.is_the_same_as(trouble)) or (deadly and record.revoked):
        return record  # that a key dies which was revoked is no news
    changed = replace(record, trouble=trouble)
    if not trouble.confirmed:
        return changed
    return _noted(changed, trouble, trouble.since)


def confirmed(record: Record, trouble: Trouble, now: datetime) -> Record:
    """A second look found the same: record it for good, loudly. Raises Superseded when another key is current."""
    _see_that_it_is_current(record, trouble)
    if record.trouble is None or not record.trouble.is_the_same_as(trouble):
        raise Superseded(f"the trouble ({trouble.kind}) is over", target=record.target)
    if record.trouble.confirmed:
        return record
    return _noted(replace(record, trouble=replace(record.trouble, confirmed=True)), trouble, now)


def recovered(record: Record, now: datetime) -> Record:
    """The watch finds nothing wrong any more."""
    trouble = record.trouble
    if trouble is None or record.revoked:
        return record  # a key that was revoked is to die: that it lives on for a while is not well
    noted = record
    if trouble.confirmed:
        noted = note(
            record,
            Event.TARGET_RECOVERED,
            now,
            access_key=trouble.access_key,
            trouble=trouble.kind.value,
            location=trouble.location,
        )
    return replace(noted, trouble=None)


def restored(record: Record, version: int, now: datetime, location: str = "") -> Record:
    """A version of the app's secret, or of the copy at ``location``, that somebody had deleted was brought back."""
    access_key = record.current.access_key if record.current else None
    noted = note(record, Event.SECRET_RESTORED, now, access_key=access_key, vault_version=version, location=location)
    return replace(noted, trouble=None)


def is_later(record: Record, version: int, seen: Seen) -> bool:
    """Whether a record may have come of the one that was seen, and not of an older one that Vault was set back to.

    What was written since it was set back raises its version: then the entry that was seen is missing, or another one
    has its number.
    """
    if version < seen.version or record.next_entry <= seen.entry:
        return False
    for entry in record.history.newest_first():
        if entry.number == seen.entry:
            return not (entry.hash and seen.entry_hash) or entry.hash.startswith(seen.entry_hash)
        if 0 < entry.number < seen.entry:
            break
    return True  # it was archived


def seen_of(record: Record, version: int) -> Seen:
    """What is kept of a record beside Vault."""
    newest = next(record.history.newest_first(), None)
    if newest is None or not newest.number:
        return Seen(version)
    return Seen(version, newest.number, (newest.hash or "")[:HASH_KEPT])


def set_back(record: Record, seen_version: int, version: int, now: datetime) -> Record:
    """Vault has an older record than a worker has seen: it was restored from a snapshot, or somebody deleted metadata.

    What this record calls retiring may be current by now, so nothing is deleted.
    """
    if record.deletes_held:
        return record
    noted = note(record, Event.VAULT_SET_BACK, now, record_version=version, seen_version=seen_version)
    return replace(noted, deletes_held=True)


def deletes_resumed(record: Record, why: str, now: datetime) -> Record:
    """The account is explained again, by an audit or a person: keys may be deleted."""
    if not record.deletes_held:
        return record
    return replace(note(record, Event.DELETES_RESUMED, now, verdict=why), deletes_held=False)


def _see_that_it_is_current(record: Record, trouble: Trouble) -> None:
    if record.current is None or record.current.access_key != trouble.access_key:
        raise Superseded(f"access key {trouble.access_key} is no longer current", target=record.target)


def _noted(record: Record, trouble: Trouble, now: datetime) -> Record:
    return note(
        record,
        _EVENTS[trouble.kind],
        now,
        access_key=trouble.access_key,
        trouble=trouble.kind.value,
        since=trouble.since.isoformat(),
        error=trouble.what,
        code=trouble.code,
        location=trouble.location,
    )
