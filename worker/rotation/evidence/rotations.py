"""Every rotation of a target with what an auditor asks of it: why, by whom, when it was due, and its ids. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.events import Event
from worker.rotation.history import Entry

Due = Callable[[datetime], datetime]
"""From when a key was published to when the schedule wants the next one."""

BY_SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationFacts:
    """One rotation; None is what the history does not say.

    ``due_at`` is when the schedule wanted it, for those that the schedule began. ``by`` says who asked.
    """

    target: str
    rotation_id: str
    outcome: str
    trigger: str | None
    reason: str | None
    by: str | None
    requested_at: datetime | None
    due_at: datetime | None
    started_at: datetime | None
    created_at: datetime | None
    verified_at: datetime | None
    published_at: datetime | None
    create_request_id: str | None
    access_key: str | None
    previous_access_key: str | None
    vault_version: int | None

    @property
    def late_by(self) -> timedelta | None:
        """How long after its moment the key was published; None where it has none, or was not published."""
        return max(self.published_at - self.due_at, timedelta(0)) if self.published_at and self.due_at else None


def rotations_of(
    target: str, entries: Iterable[Entry], due: Due | None, *, by_age: bool = True
) -> tuple[RotationFacts, ...]:
    """All rotations that the entries tell of, oldest first.

    ``by_age``: a key that a rollback brought back is due by when apps first read it, else by when it came back.
    """
    known = list(entries)
    asked = {str(e.facts.get("request")): e for e in known if e.event == Event.ROTATION_REQUESTED}
    grouped: dict[str, list[Entry]] = {}
    for entry in known:
        if entry.rotation_id:
            grouped.setdefault(entry.rotation_id, []).append(entry)
    found: list[RotationFacts] = []
    published: datetime | None = None
    first: dict[str, datetime] = {}
    for rotation_id, own in grouped.items():
        if not any(entry.event == Event.ROTATION_STARTED for entry in own):
            continue  # an adopted key, or one of a record from before: there was no rotation of ours
        facts = _facts(target, rotation_id, own, asked)
        if due and published and facts.trigger == BY_SCHEDULE:
            facts = replace(facts, due_at=due(published))
        found.append(facts)
        if facts.published_at:
            earliest = first.setdefault(facts.access_key or "", facts.published_at)
            published = earliest if by_age else facts.published_at
    return tuple(found)


def _facts(target: str, rotation_id: str, own: list[Entry], asked: dict[str, Entry]) -> RotationFacts:
    by_event = {entry.event: entry for entry in reversed(own)}  # the first of each event
    started, done = by_event.get(Event.ROTATION_STARTED), by_event.get(Event.ROTATION_SUCCEEDED)
    made = by_event.get(Event.KEY_CREATED)
    unconfirmed = by_event.get(Event.CREATE_UNCONFIRMED)
    version = done.facts.get("vault_version") if done else None
    request = _request(done, asked)
    return RotationFacts(
        target=target,
        rotation_id=rotation_id,
        outcome=_outcome(by_event),
        trigger=_text(started, "trigger"),
        reason=_text(started, "reason"),
        by=_text(started, "by") or _text(request, "by"),
        requested_at=_at(request),
        due_at=None,
        started_at=_at(started),
        created_at=_at(made),
        verified_at=_at(by_event.get(Event.KEY_VERIFIED)),
        published_at=_at(done),
        create_request_id=(made.request_id if made else None) or (unconfirmed.request_id if unconfirmed else None),
        access_key=(made.access_key if made else None) or (done.access_key if done else None),
        previous_access_key=_text(done, "previous_access_key"),
        vault_version=version if isinstance(version, int) else None,
    )


def _outcome(by_event: dict[str, Entry]) -> str:
    for event, outcome in (
        (Event.ROTATION_SUCCEEDED, "succeeded"),
        (Event.CREATE_UNCONFIRMED, "unconfirmed"),
        (Event.ROTATION_FAILED, "failed"),
    ):
        if event in by_event:
            return outcome
    return "under way"


def _request(done: Entry | None, asked: dict[str, Entry]) -> Entry | None:
    """The first request that it served."""
    served = done.facts.get("requests") if done else None
    return next((asked[each] for each in served if each in asked), None) if isinstance(served, list) else None


def _at(entry: Entry | None) -> datetime | None:
    return entry.at if entry else None


def _text(entry: Entry | None, name: str) -> str | None:
    value = entry.facts.get(name) if entry else None
    return value if isinstance(value, str) and value else None
