"""The lives of a target's keys, from birth to death, as its history tells them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.clock import moment
from worker.events import Event
from worker.rotation.history import Entry

MADE = (Event.KEY_CREATED, Event.KEY_ADOPTED)
LEFT = (Event.KEY_RELEASED,)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLife:
    """What the history says of one key; None is what it does not say.

    ``replaced_at``: from then on it was the previous key, until its ``grace_end``. ``refused_by`` is the answer by
    which the object storage refused it, and ``proof`` how that was seen. ``left_at``: it was left to a person.
    """

    target: str
    access_key: str
    rotation_id: str | None
    adopted: bool
    born_at: datetime | None
    create_request_id: str | None
    verified_at: datetime | None
    published_at: datetime | None
    vault_version: int | None
    replaced_at: datetime | None
    replaced_by: str | None
    why: str | None
    grace_end: datetime | None
    deleted_at: datetime | None
    delete_request_id: str | None
    dead_at: datetime | None
    refused_by: str | None
    proof: str | None
    storage_request_id: str | None
    left_at: datetime | None

    @property
    def state(self) -> str:
        """Where it stands, in the words of the glossary."""
        if self.dead_at:
            return "dead"
        if self.left_at:
            return "released"
        if self.deleted_at:
            return "deleted"
        if self.replaced_at:
            return "retiring"
        return "current" if self.published_at else "never published"

    @property
    def ended_at(self) -> datetime | None:
        """When it was known to be gone, or left to a person."""
        return self.dead_at or self.left_at

    @property
    def alive_after(self) -> timedelta | None:
        """How long after HostUp confirmed its delete the object storage was first seen to refuse it."""
        return self.dead_at - self.deleted_at if self.dead_at and self.deleted_at else None

    @property
    def first_seen(self) -> datetime | None:
        """The first moment that is known of it."""
        return min(filter(None, (self.born_at, self.published_at, self.deleted_at, self.dead_at)), default=None)

    def current_until(self, until: datetime) -> timedelta | None:
        """How long it was the current key, counted up to ``until``; None for one that no app ever read."""
        if self.published_at is None:
            return None
        return max(min(self.replaced_at or self.left_at or until, until) - self.published_at, timedelta(0))


def lives(target: str, entries: Iterable[Entry], grace_ends: Mapping[str, datetime]) -> tuple[KeyLife, ...]:
    """Every key that the entries name, in the order of their births; ``grace_ends`` of those that are retiring."""
    by_key: dict[str, list[Entry]] = {}
    for entry in entries:
        previous = entry.facts.get("previous_access_key")
        for key in {entry.access_key, previous if isinstance(previous, str) else None}:
            if key:
                by_key.setdefault(key, []).append(entry)
    return tuple(_life(target, key, known, grace_ends.get(key)) for key, known in by_key.items())


def _life(target: str, access_key: str, entries: list[Entry], grace_end: datetime | None) -> KeyLife:
    own = [entry for entry in entries if entry.access_key == access_key]
    made, published = _first(own, *MADE), _first(own, Event.SECRET_PUBLISHED, Event.KEY_ADOPTED)
    retired, dead = _first(own, Event.KEY_RETIRED), _first(own, Event.KEY_DEAD)
    replaced = _replaced(entries, access_key)
    latest = _first(own[::-1], Event.SECRET_PUBLISHED, Event.KEY_ADOPTED)  # a rollback publishes a key once more
    version = latest.facts.get("vault_version") if latest else None
    return KeyLife(
        target=target,
        access_key=access_key,
        rotation_id=made.rotation_id if made else None,
        adopted=made is not None and made.event == Event.KEY_ADOPTED,
        born_at=_at(made),
        create_request_id=made.request_id if made else None,
        verified_at=_at(_first(own, Event.KEY_VERIFIED)),
        published_at=_at(published),
        vault_version=version if isinstance(version, int) else None,
        replaced_at=_at(replaced),
        replaced_by=replaced.access_key if replaced else None,
        why=_text(_first(own, Event.KEY_RETIRED, Event.KEY_STRAY), "why"),
        grace_end=moment(_text(retired, "grace_end")) or grace_end,
        deleted_at=_at(retired),
        delete_request_id=_delete_id(own, dead),
        dead_at=_at(dead),
        refused_by=_text(dead, "code"),
        proof=_text(dead, "proof"),
        storage_request_id=_text(dead, "storage_request_id"),
        left_at=_at(_first(own, *LEFT)),
    )


def _replaced(entries: list[Entry], access_key: str) -> Entry | None:
    """The last time that another key took its place; None where it was published again since."""
    found = None
    for entry in entries:
        if entry.facts.get("previous_access_key") == access_key and entry.access_key != access_key:
            found = entry
        elif entry.event == Event.SECRET_PUBLISHED:
            found = None
    return found


def _delete_id(own: list[Entry], dead: Entry | None) -> str | None:
    """The requestId of the delete that it died of; else of the last one that was confirmed."""
    confirmed = [entry.request_id for entry in own if entry.event == Event.KEY_RETIRED and entry.request_id]
    return (dead.request_id if dead else None) or (confirmed[-1] if confirmed else None)


def _first(entries: list[Entry], *events: Event) -> Entry | None:
    return next((entry for entry in entries if entry.event in events), None)


def _at(entry: Entry | None) -> datetime | None:
    return entry.at if entry else None


def _text(entry: Entry | None, name: str) -> str | None:
    value = entry.facts.get(name) if entry else None
    return value if isinstance(value, str) else None
