"""When something was done last by any worker, for those who show that it is done at all."""

from __future__ import annotations

import json
from datetime import datetime

import redis

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import AUDIT, TICKED
from worker.adapters.redis.reading import AuditNote, checked, since


class Notes:
    """The last tick and the last audit. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @guard()
    def ticked(self, now: datetime) -> None:
        """A tick is done."""
        self._client.set(TICKED, str(now.timestamp()))

    @guard()
    def last_tick(self, now: datetime) -> datetime | None:
        """When the last tick was; None where that is not known."""
        return since(self._client.get(TICKED), now)

    @guard()
    def audited(self, now: datetime, counted: int | None, explained: int, foreign: int | None) -> None:
        """An audit is done. ``counted`` is None where keys came and went meanwhile: the numbers of before stay."""
        known = checked(AuditNote, self._client.get(AUDIT))
        numbers = (counted, explained, foreign)
        if counted is None or foreign is None:
            numbers = (known.counted, known.explained, known.foreign) if known else (None, explained, foreign)
        note = {"at": now.isoformat(), **dict(zip(("counted", "explained", "foreign"), numbers, strict=True))}
        self._client.set(AUDIT, json.dumps(note))

    @guard()
    def last_audit(self) -> AuditNote | None:
        """The last audit; None where there was none."""
        return checked(AuditNote, self._client.get(AUDIT))
