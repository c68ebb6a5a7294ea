"""Finding events again by any id. Everything comes from Vault; Redis only says where to look first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from worker.errors import RecordError
from worker.events import Event
from worker.rotation.history import Entry
from worker.rotation.records import RecordStore


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything that is known around one id: the target, the rotations it belongs to, their events in order."""

    target: str
    rotation_ids: tuple[str, ...]
    events: tuple[Entry, ...]

    @property
    def complete(self) -> bool:
        """Whether the beginning of each rotation is among the events, so that no older entry belongs to them."""
        begun = {entry.rotation_id for entry in self.events if entry.event == Event.ROTATION_STARTED}
        return bool(self.rotation_ids) and begun >= set(self.rotation_ids)


def entries(store: RecordStore, target: str) -> tuple[Entry, ...]:
    """All history entries of a target, oldest first, also of one whose record cannot be used otherwise.

    Raises VaultError, and RecordError when the record's part of the history cannot be read either.
    """
    return _with_archive(store, target, store.history(target).entries())


def around(target: str, entries: Iterable[Entry], identifier: str) -> Trace | None:
    """The trace of an id within one target's entries: all events of every rotation that an entry with it names."""
    known = list(entries)
    hits = [entry for entry in known if identifier in entry.ids]
    if not hits:
        return None
    rotations = {entry.rotation_id for entry in hits if entry.rotation_id}
    keys = {entry.access_key for entry in hits if entry.access_key}
    events = [e for e in known if e in hits or e.rotation_id in rotations or e.access_key in keys]
    return Trace(target, tuple(sorted(rotations)), tuple(events))


def trace(store: RecordStore, identifier: str, first: str | None) -> Trace | None:
    """Find an id in all of the history there is, looking at the target ``first`` before all others.

    ``first`` is a hint out of Redis, where anybody may have written it: what is no target's name is none.
    The record is read before the archives, which are read only where they can hold more of it. Raises VaultError.
    """
    for target in _in_order(store, first):
        recent = _recent(store, target)
        found = around(target, recent, identifier)
        if found is None or not found.complete:
            found = around(target, _with_archive(store, target, recent), identifier)
        if found:
            return found
    return None


def _recent(store: RecordStore, target: str) -> tuple[Entry, ...]:
    """What can be read of a record; status and audit report what is wrong with it, and the id may be another's."""
    try:
        return store.history(target).entries()
    except RecordError:
        return ()


def _with_archive(store: RecordStore, target: str, recent: Iterable[Entry]) -> tuple[Entry, ...]:
    """Archived entries and recent ones; a crash while archiving leaves some of them in both places."""
    archived = tuple(store.archived(target))
    newest = archived[-1].number if archived else 0
    return (*archived, *(entry for entry in recent if entry.number > newest))


def _in_order(store: RecordStore, first: str | None) -> Iterator[str]:
    names = store.targets()
    if first in names:
        yield first
    yield from (name for name in names if name != first)
