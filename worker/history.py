"""The events of a rotation, and finding them again by any id. Vault alone tells; Redis only where to look first."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from worker.errors import RecordError
from worker.events import Event
from worker.store import RecordStore
from worker.work import ids_of

Entry = Mapping[str, Any]


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


def parse(text: str) -> Entry:
    """One entry; a garbled one is shown as such."""
    try:
        entry = json.loads(text)
    except ValueError:
        entry = None
    return entry if isinstance(entry, dict) and isinstance(entry.get("n"), int) else {"n": 0, "at": "", "event": "?"}


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


def rotations(found: Iterable[Entry]) -> list[dict[str, Any]]:
    """A target's entries as a list of rotations, oldest first, each with its outcome and its events."""
    grouped: dict[str, list[Entry]] = {}
    for entry in found:
        if entry.get("rotation_id"):
            grouped.setdefault(str(entry["rotation_id"]), []).append(entry)
    return [_rotation(rotation_id, events) for rotation_id, events in grouped.items()]


def _rotation(rotation_id: str, events: list[Entry]) -> dict[str, Any]:
    started, ended = _first(events, Event.ROTATION_STARTED), _first(events, Event.ROTATION_SUCCEEDED)
    created, retired = _first(events, Event.KEY_CREATED), _first(events, Event.KEY_RETIRED)
    return {
        "rotation_id": rotation_id,
        "outcome": _outcome(events),
        "trigger": started.get("trigger"),
        "reason": started.get("reason", ""),
        "started_at": started.get("at"),
        "ended_at": ended.get("at"),
        "duration_ms": _duration(started.get("at"), ended.get("at")),
        "access_key": created.get("access_key"),
        "previous_access_key": ended.get("previous_access_key"),
        "vault_version": ended.get("vault_version"),
        "request_id": created.get("request_id") or _first(events, Event.MINT_UNKNOWN).get("request_id"),
        "delete_request_id": retired.get("request_id"),
        "retired_at": retired.get("at"),
        "dead_at": _first(events, Event.KEY_DEAD).get("at"),
        "events": events,
    }


def _outcome(events: list[Entry]) -> str:
    names = {entry["event"] for entry in events}
    for event, outcome in (
        (Event.ROTATION_SUCCEEDED, "succeeded"),
        (Event.MINT_UNKNOWN, "unknown"),
        (Event.ROTATION_FAILED, "failed"),
    ):
        if event.value in names:
            return outcome
    return "under way"


def _first(events: list[Entry], event: Event) -> Entry:
    return next((entry for entry in events if entry["event"] == event.value), {})


def _duration(started: str | None, ended: str | None) -> int | None:
    if not started or not ended:
        return None
    return round((datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds() * 1000)
