"""A person looked into breaks of a history's chain, and accepts them: on record in the chain itself. Pure."""

from __future__ import annotations

from datetime import datetime

from worker.events import Event
from worker.rotation.chain import ChainState
from worker.rotation.changes.rotation import note
from worker.rotation.record import Record
from worker.rotation.texts import LONGEST_REASON, short, short_name

MARKS_OF_AN_ENTRY = 30
"""An entry holds no longer lists (:func:`worker.rotation.texts.short_fact`)."""


def breaks_accepted(record: Record, found: ChainState, by: str, reason: str, now: datetime) -> Record:
    """Note that the breaks which were found are accepted: these, as they stand, and none that comes later."""
    marks = [each.mark for each in found.breaks if each.mark]
    numbers = ", ".join(str(each.number) for each in found.breaks)
    first = next((known.number for known in record.history.entries()[::-1]), 0)
    after = first if first and first != record.next_entry - 1 else None
    for place in range(0, max(1, len(marks)), MARKS_OF_AN_ENTRY):
        record = note(
            record,
            Event.CHAIN_ACCEPTED,
            now,
            by=short_name(by),
            reason=short(reason, LONGEST_REASON),
            breaks=numbers,
            accepted=marks[place : place + MARKS_OF_AN_ENTRY],
            after=after if place == 0 else None,
        )
    return record
