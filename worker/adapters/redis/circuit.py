"""Which calls to HostUp are held back, for all workers: the circuit stops every call, a pause stops one kind of call.

HostUp asks for a pause (429, or ``Retry-After``): creates, deletes and looks at the status each have their own. The
circuit opens after failures in a row, and at once for what is said of the whole account (401, 403).
"""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import redis
import structlog

from worker.adapters.redis.client import guard
from worker.adapters.redis.due import PAGE
from worker.adapters.redis.errors import first_word
from worker.adapters.redis.keys import CIRCUIT, DUE, PARKED, PAUSES, at
from worker.adapters.redis.reading import Why, checked, count, seconds, since, until
from worker.clock import moment
from worker.errors import (
    HostUpError,
    HostUpKeyRolled,
    HostUpRateLimited,
    HostUpRefused,
    HostUpUncertain,
    HostUpUnreachable,
)
from worker.events import Event
from worker.targets.account import DEFAULT_ACCOUNT, logged
from worker.targets.backoff import LONGEST_ASKED, Backoff

FAILURES_TO_OPEN = 3
MOST_FAILURES = 10**6
EVERY_CALL = "every call"
OPERATIONS = ("create_key", "delete_key", "status")
KEPT = timedelta(days=1)
LONGEST_HELD = LONGEST_ASKED * 1.25
"""Nothing is held back for longer, whatever Redis says: the longest wait of 15 minutes with its jitter."""

_CLOSE = """
local was = redis.call('HEXISTS', KEYS[1], 'open_until')
redis.call('DEL', KEYS[1])
local parked = redis.call('SMEMBERS', KEYS[2])
for _, name in ipairs(parked) do redis.call('ZADD', KEYS[3], 'XX', ARGV[1], name) end
redis.call('DEL', KEYS[2])
return was
"""
"""Close it, and wake every target that was turned away."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HeldCalls:
    """Calls that are held back: of which operation (or :data:`EVERY_CALL`), since when, until when, and why."""

    operation: str
    since: datetime
    until: datetime
    why: str
    hint: str = ""
    request_id: str | None = None
    failures: int = 0
    account: str = DEFAULT_ACCOUNT

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "operation": self.operation,
            "since": self.since.isoformat(timespec="milliseconds"),
            "until": self.until.isoformat(timespec="milliseconds"),
            "why": self.why,
            "hint": self.hint,
            "request_id": self.request_id,
            "failures": self.failures,
            "account": self.account,
        }


def is_of_account(error: HostUpError) -> bool:
    """Whether an error tells something of the account as a whole, not of one target's request."""
    return isinstance(error, HostUpRateLimited | HostUpUnreachable | HostUpUncertain) or _is_of_all(error)


def _is_of_all(error: HostUpError) -> bool:
    """Whether the API says of every call that it will be refused, so that no further one has to find out."""
    if isinstance(error, HostUpKeyRolled):
        return False  # the next key is on its way
    return isinstance(error, HostUpRefused) and error.answer.status in (401, 403)


class Circuit:
    """The circuit and the pauses of an account. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis, account: str = DEFAULT_ACCOUNT) -> None:
        self._client = client
        self._account = account
        self._circuit, self._pauses, self._parked = (at(account, key) for key in (CIRCUIT, PAUSES, PARKED))
        self._close = client.register_script(_CLOSE)

    @guard()
    def count_failure(self, error: HostUpError, backoff: Backoff, now: datetime) -> None:
        """A call failed: pause its kind if HostUp asked for that, and open the circuit if it is time to."""
        failures = self._failures_with_this()
        self._client.expire(self._circuit, KEPT)
        self._client.hdel(self._circuit, "trial_until")
        if isinstance(error, HostUpRateLimited) or error.retry_after:
            self._pause(error, now + backoff.delay(failures, "pause", error.retry_after), now)
        if failures >= FAILURES_TO_OPEN or _is_of_all(error):
            count = max(1, failures - FAILURES_TO_OPEN + 1)
            self._open(error, failures, now + backoff.delay(count, "circuit", error.retry_after), now)

    def _failures_with_this(self) -> int:
        """Count one more; from the beginning where what is written there is no number of failures."""
        try:
            failures = int(self._client.hincrby(self._circuit, "failures", 1))
        except redis.ResponseError as error:
            if first_word(error):
                raise
            failures = 0
        if 0 < failures < MOST_FAILURES:
            return failures
        self._client.hset(self._circuit, "failures", "1")
        return 1

    def _pause(self, error: HostUpError, until: datetime, now: datetime) -> None:
        operation = error.answer.operation
        self._client.hset(
            self._pauses,
            mapping={operation: str(until.timestamp()), _why(operation): json.dumps(_facts(error, now))},
        )
        self._client.expire(self._pauses, KEPT)
        _log.warning(Event.CALLS_PAUSED, operation=operation, until=until.isoformat(), **self._logged(error))

    def _open(self, error: HostUpError, failures: int, until: datetime, now: datetime) -> None:
        self._client.hset(
            self._circuit, mapping={"open_until": str(until.timestamp()), "why": json.dumps(_facts(error, now))}
        )
        self._client.hsetnx(self._circuit, "opened_at", str(now.timestamp()))
        _log.warning(
            Event.CIRCUIT_OPENED, failures=failures, until=until.isoformat(), hint=error.hint, **self._logged(error)
        )

    @guard()
    def turn_away(self, target: str) -> None:
        """Note that a target waits, so that it is woken when the circuit closes."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.sadd(self._parked, target)
            pipe.expire(self._parked, KEPT)
            pipe.execute()

    @guard()
    def turned_away(self, known: Container[str]) -> frozenset[str]:
        """Which of these targets wait until the circuit closes, or a pause is over."""
        return frozenset(str(name) for name in self._client.sscan_iter(self._parked, count=PAGE) if name in known)

    @guard()
    def close(self, now: datetime) -> None:
        """Let calls through again, and wake the targets that were turned away."""
        if self._close(keys=[self._circuit, self._parked, DUE], args=[now.timestamp()]):
            _log.info(Event.CIRCUIT_CLOSED, **logged(self._account))

    @guard()
    def close_all(self, now: datetime) -> None:
        """Have nothing held back any more, not even what HostUp itself asked for: a person wants it so."""
        self._client.delete(self._pauses)
        self.close(now)

    @guard()
    def paused_until(self, operation: str, now: datetime) -> datetime | None:
        """Until when HostUp wants no such call; None when it may be made."""
        return until(self._client.hget(self._pauses, operation), now, LONGEST_HELD)

    @guard()
    def held(self, now: datetime) -> tuple[HeldCalls, ...]:
        """All that is held back; the circuit also while single calls try whether HostUp answers again."""
        circuit = self._hash(self._circuit, ("open_until", "opened_at", "trial_until", "failures", "why"))
        pauses = self._hash(self._pauses, (*OPERATIONS, *map(_why, OPERATIONS)))
        found = []
        if opened := _opened(circuit, now):
            failures = count(circuit.get("failures"), MOST_FAILURES) or 0
            begun, ends = opened
            found.append(_held(EVERY_CALL, begun, min(ends, now + LONGEST_HELD), circuit.get("why"), failures))
        for operation in OPERATIONS:
            paused = until(pauses.get(operation), now, LONGEST_HELD)
            if paused:
                found.append(_held(operation, now, paused, pauses.get(_why(operation))))
        return tuple(replace(each, account=self._account) for each in found)

    def _logged(self, error: HostUpError) -> dict[str, object]:
        return {**_logged(error), **logged(self._account)}

    def _hash(self, key: str, fields: Sequence[str]) -> dict[str, str]:
        found = zip(fields, self._client.hmget(key, fields), strict=True)
        return {name: str(value) for name, value in found if value is not None}


def _why(operation: str) -> str:
    """The field that says why calls of this operation are paused."""
    return f"{operation} why"


def _opened(circuit: Mapping[str, str], now: datetime) -> tuple[datetime, datetime] | None:
    """Since when the circuit is open, and until when; also one that holds calls back and does not say since when."""
    opened, ends = since(circuit.get("opened_at"), now), seconds(circuit.get("open_until"))
    if ends is None:
        return None
    if opened:
        return opened, ends
    last = max(ends, until(circuit.get("trial_until"), now, LONGEST_HELD) or ends)
    return (now, last) if last > now else None


def _facts(error: HostUpError, now: datetime) -> dict[str, str | None]:
    return {"at": now.isoformat(), "what": error.what, "hint": error.hint, "request_id": error.request_id}


def _logged(error: HostUpError) -> dict[str, object]:
    asked, most = error.retry_after or 0, LONGEST_ASKED.total_seconds()
    capped = {"asked_for_s": round(asked), "capped_at_s": round(most)} if asked > most else {}
    return {"error": error.what, "request_id": error.request_id, **capped}


def _held(operation: str, begun: datetime, ends: datetime, text: str | None, failures: int = 0) -> HeldCalls:
    why = checked(Why, text)
    if why is None:
        return HeldCalls(operation, begun, ends, "not known", failures=failures)
    paused_at = moment(why.at) if operation != EVERY_CALL else None
    return HeldCalls(operation, paused_at or begun, ends, why.what or "not known", why.hint, why.request_id, failures)
