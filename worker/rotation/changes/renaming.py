"""How records change when a target gets another name in the configuration. Pure.

Two records are written, one after the other, so both changes may be made again: after a crash in between the new name
has everything, and the old one is emptied at the next try.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from worker.errors import TryAgainLater, UsageError
from worker.events import Event
from worker.rotation.changes.rotation import note
from worker.rotation.history import Entry
from worker.rotation.record import Phase, Record


def taken_along(known: Record, old: Record, now: datetime) -> Record:
    """The record of the new name: all of the old one, and the requests that came under the new name already.

    Raises UsageError where keys stand on both, TryAgainLater while a worker asks HostUp for a key.
    """
    if was_taken_along(known, old.target):
        return known
    if any(known.keys_on_record()) or known.rotation or known.unconfirmed_creates:
        raise UsageError(
            f"both {old.target} and {known.target} have keys on record",
            target=known.target,
            hint="Nothing was changed. Only a new name without a key can take another one's record over.",
        )
    rotation = old.rotation
    if rotation and rotation.phase is Phase.CREATING and rotation.lease.until > now:
        raise TryAgainLater(
            "a worker asks HostUp for a key of this target just now",
            target=old.target,
            hint=f"Nothing was changed. Run the command again after {rotation.lease.until.isoformat()}.",
        )
    record = replace(old, target=known.target, requests=(*old.requests, *known.requests), failure=None)
    for entry in since_given_up(known.target, known.history.entries()):
        moved = replace(entry, number=record.next_entry, hash=None)
        record = replace(record, history=record.history.with_entry(moved), next_entry=record.next_entry + 1)
    return note(record, Event.TARGET_RENAMED, now, old_name=old.target, new_name=known.target)


def was_taken_along(known: Record, old: str) -> bool:
    """Whether the record of this old name was taken over already, and is there: it may have gone on, and come back."""
    last = _last_renaming(known.target, known.history.entries())
    return last is not None and last.facts.get("old_name") == old


def since_given_up(name: str, entries: Sequence[Entry]) -> Sequence[Entry]:
    """Those of a name's entries that no other name has: all, unless its target has another name by now."""
    last = _last_renaming(name, entries)
    if last is None or last.facts.get("old_name") != name:
        return entries
    return entries[entries.index(last) + 1 :]


def _last_renaming(name: str, entries: Sequence[Entry]) -> Entry | None:
    """The last time that a target got this name, or gave it up."""
    for entry in reversed(entries):
        names = entry.facts.get("old_name"), entry.facts.get("new_name")
        if entry.event == Event.TARGET_RENAMED and name in names:
            return entry
    return None


def emptied(old: Record, new: Record, now: datetime) -> Record:
    """The record of the old name afterwards: its history, and only what came to it after the new name took it over."""
    keys = {*new.keys_on_record(), *(entry.access_key for entry in new.history.entries())}
    creates = {create.rotation_id for create in new.unconfirmed_creates}
    bare = Record(
        target=old.target,
        path=old.path,
        retiring=tuple(key for key in old.retiring if key.access_key not in keys),
        unconfirmed_creates=tuple(each for each in old.unconfirmed_creates if each.rotation_id not in creates),
        history=old.history,
        next_entry=old.next_entry,
    )
    return note(bare, Event.TARGET_RENAMED, now, old_name=old.target, new_name=new.target)
