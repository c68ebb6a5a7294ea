"""What will happen and when, if nothing fails: rotations, the ends of grace periods, crowded hours. Pure.

Reckoned from the records and from the schedule that is configured now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from worker.rotation.hold import pause_of
from worker.rotation.record import Record
from worker.rotation.status import due_at
from worker.targets.schedule import next_rotation
from worker.targets.target import Target

MOST_OF_A_TARGET = 1_000
"""Rotations of one target that are reckoned."""

CROWDED_AT_LEAST = 10
CROWDED_TIMES = 3
"""An hour is crowded with at least so many rotations, and so many times what an hour has on average."""


@dataclass(frozen=True, slots=True, order=True)
class Appointment:
    """One thing that will happen: a ``rotation``, or a ``retirement`` (a key's grace period ends)."""

    at: datetime
    target: str
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class Calendar:
    """All of them in order; ``cut`` names the targets of which there are more than are reckoned."""

    since: datetime
    until: datetime
    appointments: tuple[Appointment, ...]
    cut: tuple[str, ...]

    def crowded(self) -> tuple[tuple[datetime, int], ...]:
        """The hours (their beginnings, in UTC) with many more rotations than others."""
        begun = (each.at.astimezone(UTC) for each in self.appointments if each.kind == "rotation")
        hours = Counter(at.replace(minute=0, second=0, microsecond=0) for at in begun)
        length = max(1.0, (self.until - self.since) / timedelta(hours=1))
        many = max(CROWDED_AT_LEAST, CROWDED_TIMES * sum(hours.values()) / length)
        return tuple(sorted((hour, number) for hour, number in hours.items() if number >= many))


def calendar(targets: Iterable[Target], records: Mapping[str, Record], now: datetime, length: timedelta) -> Calendar:
    """What will happen to these targets from now on; one without a record is rotated at once."""
    until = now + length
    found: list[Appointment] = []
    cut = []
    for target in targets:
        record = records.get(target.name)
        own = list(_of_target(target, record, now, until))
        found += own
        if sum(each.kind == "rotation" for each in own) >= MOST_OF_A_TARGET:
            cut.append(target.name)
    return Calendar(now, until, tuple(sorted(found)), tuple(cut))


def _first_due(target: Target, record: Record | None, now: datetime) -> datetime | None:
    """When the next rotation begins by itself; None: only when somebody asks, or has ended a pause."""
    if record is None:
        return next_rotation(target.schedule, target.name, None, now, target.freezes)
    due, pause = due_at(record, target, now), pause_of(record, now)
    if due is None or (pause and pause.until is None):
        return None
    return max(due, now, (pause and pause.until) or now)


def _of_target(target: Target, record: Record | None, now: datetime, until: datetime) -> Iterator[Appointment]:
    for key in record.retiring if record else ():
        if not key.deleted_at and key.retire_after < until:
            at = max(key.retire_after, now)
            yield Appointment(at, target.name, "retirement", f"{key.access_key} is deleted: {key.why.value}")
    current = record.current if record else None
    replaced = current.access_key if current else None
    due = _first_due(target, record, now)
    for _ in range(MOST_OF_A_TARGET):
        if due is None or due >= until:
            return
        yield Appointment(
            due, target.name, "rotation", f"a new key in the place of {replaced}" if replaced else "a new key"
        )
        end = due + target.grace
        if replaced and end < until:
            yield Appointment(end, target.name, "retirement", f"{replaced} is deleted: replaced")
        replaced = "the key before"
        due = next_rotation(target.schedule, target.name, due, due, target.freezes)
