"""When something was done last by any worker, for those who show that it is done at all."""

from __future__ import annotations

import json
from datetime import datetime

import redis

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import AUDIT, TICKED, at
from worker.adapters.redis.reading import AuditNote, checked, since
from worker.targets.account import DEFAULT_ACCOUNT


class Notes:
    """The last tick, and the last audit of each account. All methods raise QueueUnavailable."""

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
    def audited(
        self, now: datetime, counted: int | None, explained: int, foreign: int | None, account: str = DEFAULT_ACCOUNT
    ) -> None:
        """An audit is done. ``counted`` is None where keys came and went meanwhile: the numbers of before stay."""
        key = at(account, AUDIT)
        known = checked(AuditNote, self._client.get(key))
        numbers = (counted, explained, foreign)
        if counted is None or foreign is None:
            numbers = (known.counted, known.explained, known.foreign) if known else (None, explained, foreign)
        note = {"at": now.isoformat(), **dict(zip(("counted", "explained", "foreign"), numbers, strict=True))}
        self._client.set(key, json.dumps(note))

    @guard()
    def last_audit(self, account: str = DEFAULT_ACCOUNT) -> AuditNote | None:
        """The last audit of an account; None where there was none."""
        return checked(AuditNote, self._client.get(at(account, AUDIT)))
