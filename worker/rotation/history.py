"""What happened to a target: entries, how they are kept as text, and the same rotation by rotation. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from worker.clock import moment
from worker.events import Event
from worker.rotation.chain import FIELD, head_of, parted, sealed

GARBLED = "?"
"""The event of an entry that cannot be read."""

UNREADABLE_TIME = "unreadable_time"
"""The fact that keeps what stood in the place of a moment, without an offset from UTC or no moment at all."""

LONGEST_HISTORY = 128 * 1024
LONGEST_KEPT = 64 * 1024
LONGEST_ARCHIVE = 256 * 1024
"""Characters: of a history that stays in the record, of what stays after archiving, of one archive document."""

_IDS = ("rotation_id", "request_id", "access_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One event in the history of a target.

    ``number`` counts from 1 within the target, 0 is an entry that cannot be read. ``at`` has an offset from UTC; None
    where the text has no such moment (see :data:`UNREADABLE_TIME`). ``facts`` are what else is known, by the names that
    log lines use, in JSON's own types. ``hash`` ties it to the one before (:mod:`worker.rotation.chain`); None where it
    is not written yet, or an earlier release wrote it. No entry holds a secret.
    """

    number: int
    at: datetime | None
    event: str
    rotation_id: str | None = None
    request_id: str | None = None
    access_key: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    hash: str | None = None

    @property
    def ids(self) -> frozenset[str]:
        """The ids that a trace can start from."""
        named = (self.rotation_id, self.request_id, self.access_key, self.facts.get("request"))
        return frozenset(str(value) for value in named if value)

    def fields(self) -> dict[str, object]:
        """Everything but number, time and event, as a log line has it."""
        known = {name: value for name in _IDS if (value := getattr(self, name))}
        return {**known, **self.facts}

    def document(self) -> dict[str, object]:
        """All of it, in JSON's own types."""
        return self.body() | ({FIELD: self.hash} if self.hash else {})

    def body(self) -> dict[str, object]:
        """What the hash is made of."""
        at = self.at.isoformat() if self.at else ""
        return {"n": self.number, "at": at, "event": self.event, **self.fields()}


@dataclass(frozen=True, slots=True)
class History:
    """The newest entries of a target, oldest first.

    ``stored`` are the texts as they were read from Vault; they are parsed only for those who look at them, because a
    rotation reads and writes sixty of them and looks at none. ``added`` are the entries of a change, not written yet.
    ``before`` is the hash that the first of them rests on, where it is known.
    """

    stored: tuple[str, ...] = ()
    added: tuple[Entry, ...] = ()
    before: str = ""

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self.stored) + len(self.added)

    @property
    def is_long(self) -> bool:
        """Whether its texts are so long that part of it has to leave the record, however few they are."""
        return sum(map(len, self.stored)) > LONGEST_HISTORY

    def oldest(self, keep: int) -> tuple[str, ...]:
        """The texts to be archived: all but the newest ``keep``, and more where those are long; one document full."""
        left, kept = 0, 0
        for text in reversed(self.stored[-keep:]):
            left += len(text)
            kept += left <= LONGEST_KEPT
        kept = max(kept, min(1, len(self.stored) - 1))  # the newest one ties the chain together
        moved, size = 0, 0
        for text in self.stored[: len(self.stored) - kept]:
            size += len(text)
            if moved and size > LONGEST_ARCHIVE:
                break
            moved += 1
        return self.stored[:moved]

    def entries(self) -> tuple[Entry, ...]:
        """All of them."""
        return (*map(decode_entry, self.stored), *self.added)

    def newest_first(self) -> Iterator[Entry]:
        """All of them backwards; each is decoded when it is asked for."""
        yield from reversed(self.added)
        yield from map(decode_entry, reversed(self.stored))

    def newest_moment(self, event: str) -> datetime | None:
        """When something happened last, as far as it is in here. Only texts that name the event are decoded."""
        added = next((entry.at for entry in reversed(self.added) if entry.event == event), None)
        named = (text for text in reversed(self.stored) if event in text)
        return added or next((entry.at for text in named if (entry := decode_entry(text)).event == event), None)

    def with_entry(self, entry: Entry) -> History:
        """The same with one entry more."""
        return History(self.stored, (*self.added, entry), self.before)

    def texts(self) -> tuple[str, ...]:
        """All of them as Vault keeps them, each tied to the one before."""
        before, chained = head_of(self.stored) or self.before, list(self.stored)
        for entry in self.added:
            chained.append(sealed(encode_entry(entry), before))
            before = head_of(chained)
        return tuple(chained)

    def added_as_written(self) -> tuple[Entry, ...]:
        """The entries of a change, each with its hash."""
        return tuple(map(decode_entry, self.texts()[len(self.stored) :])) if self.added else ()

    def written(self) -> History:
        """The same once Vault has it."""
        return History(self.texts())

    def without(self, texts: frozenset[str]) -> History:
        """The same without stored entries that were moved elsewhere."""
        left = tuple(text for text in self.stored if text not in texts)
        return History(left, self.added, self.before if left else head_of(self.stored))


def encode_entry(entry: Entry) -> str:
    """One compact JSON text for each entry: OpenBao takes 1,000 strings in a body (docs/facts.md, "Vault").

    Without its hash, which depends on the entry before it.
    """
    return json.dumps(entry.body(), ensure_ascii=False, separators=(",", ":"))


def decode_entry(text: str) -> Entry:
    """Read an entry back; one that cannot be read has number 0 and the event :data:`GARBLED`."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # RecursionError: brackets nested too deep
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("n"), int):
        return Entry(number=0, at=None, event=GARBLED)
    carried = parted(text)[1]
    known = ("n", "at", "event", *_IDS, *([FIELD] if carried else []))
    facts = {name: value for name, value in found.items() if name not in known}
    ids = {name: value if isinstance(value := found.get(name), str) else None for name in _IDS}
    at = moment(found.get("at"))
    if at is None and found.get("at"):
        facts[UNREADABLE_TIME] = found["at"]
    return Entry(number=found["n"], at=at, event=str(found.get("event")), facts=facts, hash=carried, **ids)


def rotations(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """A target's entries as a list of rotations in JSON's own types, oldest first, each with outcome and events."""
    grouped: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.rotation_id:
            grouped.setdefault(entry.rotation_id, []).append(entry)
    return [_rotation(rotation_id, events) for rotation_id, events in grouped.items()]


def _rotation(rotation_id: str, events: list[Entry]) -> dict[str, Any]:
    started, ended = _first(events, Event.ROTATION_STARTED), _first(events, Event.ROTATION_SUCCEEDED)
    created, retired = _first(events, Event.KEY_CREATED), _first(events, Event.KEY_RETIRED)
    unconfirmed, dead = _first(events, Event.CREATE_UNCONFIRMED), _first(events, Event.KEY_DEAD)
    return {
        "rotation_id": rotation_id,
        "outcome": _outcome(events),
        "trigger": started.facts.get("trigger"),
        "reason": started.facts.get("reason", ""),
        "by": started.facts.get("by", ""),
        "started_at": _text(started.at),
        "ended_at": _text(ended.at),
        "duration_ms": round((ended.at - started.at).total_seconds() * 1000) if started.at and ended.at else None,
        "access_key": created.access_key,
        "previous_access_key": ended.facts.get("previous_access_key"),
        "vault_version": ended.facts.get("vault_version"),
        "request_id": created.request_id or unconfirmed.request_id,
        "delete_request_id": retired.request_id,
        "retired_at": _text(retired.at),
        "dead_at": _text(dead.at),
        "events": [entry.document() for entry in events],
    }


def _outcome(events: list[Entry]) -> str:
    names = {entry.event for entry in events}
    for event, outcome in (
        (Event.ROTATION_SUCCEEDED, "succeeded"),
        (Event.CREATE_UNCONFIRMED, "unconfirmed"),
        (Event.ROTATION_FAILED, "failed"),
    ):
        if event in names:
            return outcome
    return "under way"


_NONE = Entry(number=0, at=None, event=GARBLED)


def _first(events: list[Entry], event: Event) -> Entry:
    return next((entry for entry in events if entry.event == event), _NONE)


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
