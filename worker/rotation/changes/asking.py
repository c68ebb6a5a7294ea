"""How a record changes when a message asks for a rotation: pure.

Whoever can send messages could else have a key made again and again: until the places for retiring keys are taken, and
a key that really has leaked cannot be replaced before the grace periods of the others are over.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from worker.errors import RequestLimited
from worker.rotation.changes.rotation import requested
from worker.rotation.record import Record, Request

HOUR = timedelta(hours=1)

RETIRING_FOR_MESSAGES = 10
"""With so many keys on their way out messages are not served: half of the places are for people and the schedule."""


def asked_by_message(
    record: Record, request: Request, per_hour: int, by: str = "", *, leak_said: bool = False
) -> Record:
    """Record a request that came as a message, if messages have not asked too often.

    One that joins a rotation under way, or a request that waits, makes no key of its own, and is not counted. Raises
    RequestLimited, TryAgainLater.
    """
    noted = requested(record, request, by, leak_said=leak_said)
    if noted is record or record.rotation or record.requests:
        return noted
    # one that is noted for later than that is of a clock that was wrong
    recent = tuple(moment for moment in record.asked if abs(request.at - moment) < HOUR)
    if len(recent) >= per_hour:
        why = f"messages have asked for {len(recent)} rotations within an hour"
        raise RequestLimited(why, sorted(recent)[-per_hour] + HOUR, target=record.target)
    if len(record.retiring) >= RETIRING_FOR_MESSAGES:
        why = f"{len(record.retiring)} keys are retiring"
        leaving = sorted(key.retire_after for key in record.retiring)
        raise RequestLimited(why, leaving[len(leaving) - RETIRING_FOR_MESSAGES], target=record.target)
    return replace(noted, asked=(*recent, request.at))
