"""Finding events again by any id. Vault alone tells; Redis only where to look first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from worker.errors import RecordError
from worker.rotation.history import Entry, ids_of, parse
from worker.rotation.records import RecordStore


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that is known around one id: the target, the rotations it belongs to, their events in order."""

    target: str
    rotation_ids: tuple[str, ...]
    events: tuple[Entry, ...]


def entries(store: RecordStore, target: str) -> tuple[Entry, ...]:
    """All history entries of a target, oldest first, also of one whose record cannot be used otherwise.

    Raises VaultError, and RecordError when the record's part of the history cannot be read either.
    """
    archived = [parse(text) for text in store.archived(target)]
    newest = archived[-1]["n"] if archived else 0
    recent = [parse(text) for text in store.history(target)]
    return (*archived, *(entry for entry in recent if entry["n"] > newest))


def around(target: str, found: Iterable[Entry], identifier: str) -> Trace | None:
    """The trace of an id within one target's entries: all events of every rotation that an entry with it names."""
    known = list(found)
    hits = [entry for entry in known if identifier in ids_of(entry)]
    if not hits:
        return None
    rotations = {str(entry["rotation_id"]) for entry in hits if entry.get("rotation_id")}
    keys = {str(entry["access_key"]) for entry in hits if entry.get("access_key")}
    events = [e for e in known if e in hits or e.get("rotation_id") in rotations or e.get("access_key") in keys]
    return Trace(target, tuple(sorted(rotations)), tuple(events))


def trace(store: RecordStore, identifier: str, first: str | None) -> Trace | None:
    """Find an id in all of the history there is, looking at the target ``first`` before all others."""
    for target in _in_order(store, first):
        found = around(target, _told(store, target), identifier)
        if found:
            return found
    return None


def _told(store: RecordStore, target: str) -> Iterable[Entry]:
    """What can be read of a target; its trouble is told by status and audit, and the id may well be another's."""
    try:
        return entries(store, target)
    except RecordError:
        return map(parse, store.archived(target))


def _in_order(store: RecordStore, first: str | None) -> Iterator[str]:
    if first:
        yield first
    for target in store.targets():
        if target != first:
            yield target
