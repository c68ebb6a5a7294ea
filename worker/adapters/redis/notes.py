"""When something was done last by any worker, for those who show that it is done at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

import redis

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import API_KEY, AUDIT, TICKED, at
from worker.adapters.redis.reading import ApiKeyNote, AuditNote, checked, since
from worker.targets.account import DEFAULT_ACCOUNT

NOTHING_FOUND: Mapping[str, int] = MappingProxyType({})


class Notes:
    """The last tick; of each account the last audit, and how its API key stands. All raise QueueUnavailable."""

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
        self,
        now: datetime,
        counted: int | None,
        explained: int,
        foreign: int | None,
        account: str = DEFAULT_ACCOUNT,
        findings: Mapping[str, int] = NOTHING_FOUND,
    ) -> None:
        """An audit is done. ``counted`` is None where it could not count: numbers and time of before stay.

        ``findings`` says how many there are of each kind about the account as a whole.
        """
        key = at(account, AUDIT)
        known = checked(AuditNote, self._client.get(key))
        numbers, counted_at = (counted, explained, foreign), now.isoformat()
        if counted is None or foreign is None:
            numbers = (known.counted, known.explained, known.foreign) if known else (None, explained, foreign)
            # of one that was never counted the time is that of its first audit: it grows old as well
            counted_at = (known.counted_at or known.at or counted_at) if known else counted_at
        note = {
            "at": now.isoformat(),
            "counted_at": counted_at,
            **dict(zip(("counted", "explained", "foreign"), numbers, strict=True)),
            "findings": dict(findings),
        }
        self._client.set(key, json.dumps(note))

    @guard()
    def api_key_seen(
        self, account: str, made_at: datetime | None, roll_at: datetime | None, *, needs_person: bool
    ) -> None:
        """A worker has seen to the API key of an account that lies in Vault."""
        note = {
            "made_at": made_at.isoformat() if made_at else None,
            "roll_at": roll_at.isoformat() if roll_at else None,
            "needs_person": needs_person,
        }
        self._client.set(at(account, API_KEY), json.dumps(note))

    @guard()
    def api_key(self, account: str = DEFAULT_ACCOUNT) -> ApiKeyNote | None:
        """How the API key of an account stands; None where no worker has seen to it."""
        return checked(ApiKeyNote, self._client.get(at(account, API_KEY)))

    @guard()
    def last_audit(self, account: str = DEFAULT_ACCOUNT) -> AuditNote | None:
        """The last audit of an account; None where there was none."""
        return checked(AuditNote, self._client.get(at(account, AUDIT)))
