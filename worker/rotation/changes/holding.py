"""A person pauses and resumes a target, or sets its next rotation. Pure; see :mod:`worker.rotation.hold`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from worker.errors import UsageError
from worker.events import Event
from worker.rotation.changes.rotation import note
from worker.rotation.record import Paused, Record
from worker.rotation.texts import LONGEST_REASON, short, short_name


def paused(record: Record, pause: Paused) -> Record:
    """No new key is begun from now on. The same pause again changes nothing, another one takes its place.

    Raises UsageError where it would be over already.
    """
    if pause.until and pause.until <= pause.at:
        raise UsageError(
            f"the pause would end at {pause.until.isoformat(timespec='seconds')}, which has passed",
            target=record.target,
            hint="Nothing was changed. Give --until a moment to come.",
        )
    pause = replace(pause, by=short_name(pause.by), reason=short(pause.reason, LONGEST_REASON))
    known = record.paused
    if known and (known.by, known.reason, known.until) == (pause.by, pause.reason, pause.until):
        return record
    until = pause.until.isoformat() if pause.until else None
    noted = note(record, Event.TARGET_PAUSED, pause.at, by=pause.by, reason=pause.reason, until=until)
    return replace(noted, paused=pause)


def resumed(record: Record, by: str, now: datetime) -> Record:
    """New keys may be begun again; a target that is not paused is left as it is."""
    if record.paused is None:
        return record
    noted = note(record, Event.TARGET_RESUMED, now, by=short_name(by), since=record.paused.at.isoformat())
    return replace(noted, paused=None)


def rescheduled(record: Record, at: datetime | None, by: str, now: datetime) -> Record:
    """The next rotation is to be at that moment, once; None: as the schedule has it.

    Raises UsageError for a moment that has passed.
    """
    if at and at <= now:
        raise UsageError(
            f"{at.isoformat(timespec='seconds')} has passed",
            target=record.target,
            hint=f"Nothing was changed. To rotate now: `rotator rotate {record.target}`.",
        )
    if at == record.next_at:
        return record
    text = at.isoformat() if at else "as the schedule has it"
    noted = note(record, Event.TARGET_RESCHEDULED, now, by=short_name(by), next_rotation=text)
    return replace(noted, next_at=at)
