"""The report for auditors: all targets over a period, from their histories. Pure: the clock is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from worker.events import Event
from worker.rotation.evidence.keys import KeyLife, lives
from worker.rotation.evidence.rotations import Due, RotationFacts, rotations_of
from worker.rotation.history import GARBLED, Entry

ORDINARY = frozenset(
    {
        Event.ROTATION_REQUESTED,
        Event.ROTATION_STARTED,
        Event.ROTATION_SUCCEEDED,
        Event.KEY_CREATED,
        Event.KEY_VERIFIED,
        Event.SECRET_PUBLISHED,
        Event.KEY_RETIRED,
        Event.KEY_DEAD,
    }
)
"""What happens in a rotation in which nothing happens; every other entry is an exception."""

REASONS = ("error", "reason", "verdict", "why", "trouble")
LATE = "late"
UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Period:
    """From a moment (in it) to another one (not in it)."""

    since: datetime
    until: datetime

    def holds(self, at: datetime | None) -> bool:
        """Whether a moment is in it."""
        return at is not None and self.since <= at < self.until


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether every key of the account is explained: what HostUp counts beside what is known; None: not known."""

    at: datetime
    key_count: int | None
    on_record: int | None
    foreign: int | None
    unexplained: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetHistory:
    """What there is of one target. ``due`` and ``oldest`` follow from the schedule that is configured now.

    ``oldest``: how old a current key may become, None where the schedule does not say. ``slack``: how much later is on
    time. ``chain``: in words, how the chain of its entries was found; ``chain_holds`` whether nothing is wrong with it.
    """

    name: str
    entries: tuple[Entry, ...]
    path: str = ""
    schedule: str = ""
    due: Due | None = None
    oldest: timedelta | None = None
    slack: timedelta = timedelta(minutes=5)
    grace_ends: Mapping[str, datetime] = field(default_factory=dict)
    chain: str = ""
    chain_holds: bool = True
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that was not as usual, with the reason that is on record."""

    target: str
    at: datetime | None
    kind: str
    reason: str
    access_key: str | None = None
    rotation_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class TargetReport:
    """One target over the period. ``greatest_age``: how long a key was current at most, up to the period's end."""

    source: TargetHistory
    rotations: tuple[RotationFacts, ...]
    keys: tuple[KeyLife, ...]
    exceptions: tuple[Incident, ...]
    greatest_age: timedelta | None

    @property
    def in_policy(self) -> bool | None:
        """Whether no key was current for longer than the schedule allows; None where it sets no such age."""
        if self.source.oldest is None or self.greatest_age is None:
            return None
        return self.greatest_age <= self.source.oldest + self.source.slack


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. ``made_at`` is when it was made."""

    made_at: datetime
    period: Period
    targets: tuple[TargetReport, ...]
    completeness: Completeness

    def all_rotations(self) -> Iterator[RotationFacts]:
        """Of all targets."""
        return (each for target in self.targets for each in target.rotations)

    def all_keys(self) -> Iterator[KeyLife]:
        """Of all targets."""
        return (each for target in self.targets for each in target.keys)

    def all_exceptions(self) -> Iterator[Incident]:
        """Of all targets."""
        return (each for target in self.targets for each in target.exceptions)


def report(histories: Iterable[TargetHistory], period: Period, completeness: Completeness, now: datetime) -> Report:
    """What happened in the period, as it stood at its end: what came later is left out."""
    ended = Period(period.since, min(period.until, now))
    return Report(now, ended, tuple(_of_target(each, ended) for each in histories), completeness)


def _of_target(source: TargetHistory, period: Period) -> TargetReport:
    known = [entry for entry in source.entries if entry.at is None or entry.at < period.until]
    timed = [entry for entry in known if entry.at]
    rotations = rotations_of(source.name, timed, source.due, by_age=source.oldest is not None)
    keys = lives(source.name, timed, source.grace_ends)
    return TargetReport(
        source,
        tuple(each for each in rotations if period.holds(each.started_at)),
        tuple(each for each in keys if _lived_in(each, period)),
        tuple(sorted(_exceptions(source, known, rotations, keys, period), key=lambda each: each.at or period.since)),
        _greatest_age(keys, period),
    )


def _lived_in(key: KeyLife, period: Period) -> bool:
    return key.ended_at is None or key.ended_at >= period.since


def _greatest_age(keys: Iterable[KeyLife], period: Period) -> timedelta | None:
    """Of the keys that were current at any moment of the period."""
    ages = [
        key.current_until(period.until)
        for key in keys
        if (over := key.replaced_at or key.left_at) is None or over >= period.since
    ]
    return max((age for age in ages if age is not None), default=None)


def _exceptions(
    source: TargetHistory,
    entries: list[Entry],
    rotations: tuple[RotationFacts, ...],
    keys: tuple[KeyLife, ...],
    period: Period,
) -> Iterator[Incident]:
    for entry in entries:
        if entry.event == GARBLED or entry.at is None:
            yield Incident(source.name, entry.at, UNREADABLE, "an entry of the history cannot be read")
        elif entry.event not in ORDINARY and period.holds(entry.at):
            yield Incident(
                source.name,
                entry.at,
                entry.event,
                _reason(entry),
                entry.access_key,
                entry.rotation_id,
                entry.request_id,
            )
    yield from _late(source, entries, rotations, period)
    yield from _waiting(source, entries, keys, period, _came_back(rotations) if source.oldest is None else {})


def _late(
    source: TargetHistory, entries: list[Entry], rotations: tuple[RotationFacts, ...], period: Period
) -> Iterator[Incident]:
    for each in rotations:
        due, done = each.due_at, each.published_at
        if due and done and done > due + source.slack and period.holds(done):
            what = f"published {done - due} after it was due: {_why_late(entries, due, done)}"
            yield Incident(source.name, done, LATE, what, each.access_key, each.rotation_id, each.create_request_id)


def _came_back(rotations: Iterable[RotationFacts]) -> Mapping[str, datetime]:
    """When each key was published last: a rollback publishes one again."""
    return {each.access_key: each.published_at for each in rotations if each.access_key and each.published_at}


def _waiting(
    source: TargetHistory,
    entries: list[Entry],
    keys: tuple[KeyLife, ...],
    period: Period,
    counted_from: Mapping[str, datetime],
) -> Iterator[Incident]:
    """A current key that should have been replaced before the end of the period."""
    for key in keys:
        if source.due and key.state == "current" and key.published_at:
            due = source.due(counted_from.get(key.access_key, key.published_at))
            if due + source.slack < period.until:
                why = _why_late(entries, due, period.until)
                yield Incident(source.name, due, LATE, f"due then, and not replaced yet: {why}", key.access_key)


def _why_late(entries: list[Entry], due: datetime, until: datetime) -> str:
    """The last thing out of the ordinary between the moment it was due and the end."""
    found = [e for e in entries if e.event not in ORDINARY and e.at and due - timedelta(days=1) <= e.at <= until]
    return f"{found[-1].event} at {_text(found[-1].at)}: {_reason(found[-1])}" if found else "no reason is on record"


def _reason(entry: Entry) -> str:
    return next((str(entry.facts[name]) for name in REASONS if entry.facts.get(name)), "")


def _text(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds") if at else ""
