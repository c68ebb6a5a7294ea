"""What all workers share about the one HostUp account: places for creates, a circuit, the number of keys.

It lives in Redis and may be lost at any time: the places come back by their time, the circuit closes, the count is
asked for again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis
import structlog

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import CIRCUIT, COUNT, CREATES, DUE, PARKED
from worker.clock import Clock
from worker.errors import (
    CircuitOpen,
    HostUpError,
    HostUpRateLimited,
    HostUpRefused,
    HostUpUncertain,
    HostUpUnreachable,
    QueueUnavailable,
    TryAgainLater,
)
from worker.events import Event
from worker.rotation.ports import HostUpPort, Place
from worker.targets.backoff import Backoff

FAILURES_TO_OPEN = 3
COUNT_FRESH_SECONDS = 60.0
PLACE_WAIT_SECONDS = 10.0
PLACE_POLL_SECONDS = 0.02

_ENTER = """
local now, ends = tonumber(ARGV[1]), ARGV[2]
local open = tonumber(redis.call('HGET', KEYS[1], 'open_until') or '0')
if open > 0 then
  if now < open then return {'open', tostring(open)} end
  local trial = tonumber(redis.call('HGET', KEYS[1], 'trial_until') or '0')
  if now < trial then return {'open', tostring(trial)} end
end
if ARGV[3] then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return {'full'} end
  redis.call('ZADD', KEYS[2], ends, ARGV[3])
end
if open > 0 then redis.call('HSET', KEYS[1], 'trial_until', ends) end
return {open > 0 and 'trial' or 'free', unpack(redis.call('HMGET', KEYS[3], 'value', 'at', 'made'))}
"""
"""The circuit; a place, if a token for one is given; and the number of keys as far as it is known: in one call."""

_CLOSE_CIRCUIT = """
local was = redis.call('HEXISTS', KEYS[1], 'open_until')
redis.call('DEL', KEYS[1])
local parked = redis.call('SMEMBERS', KEYS[2])
for _, name in ipairs(parked) do redis.call('ZADD', KEYS[3], 'XX', ARGV[1], name) end
redis.call('DEL', KEYS[2])
return was
"""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """``creates`` under way at once, each for ``hold`` at most, and how the circuit backs off.

    After creates that may have made a key it stays open much longer than after calls that are harmless to repeat.
    """

    creates: int
    hold: timedelta
    after_create: Backoff
    after_other: Backoff

    def backoff_of(self, error: HostUpError) -> Backoff:
        """How long to keep away after this error."""
        uncertain = isinstance(error, HostUpUncertain) and error.answer.operation == "create_key"
        return self.after_create if uncertain else self.after_other


def is_of_account(error: HostUpError) -> bool:
    """Whether an error tells something of the account as a whole, not of one target's request."""
    if isinstance(error, HostUpRateLimited | HostUpUnreachable | HostUpUncertain):
        return True
    return isinstance(error, HostUpRefused) and error.answer.status in (401, 403)


class Account:
    """See :class:`AccountPort`; shared by all workers through Redis."""

    def __init__(self, client: redis.Redis, hostup: HostUpPort, clock: Clock, limits: AccountLimits) -> None:
        self._client = client
        self._hostup = hostup
        self._clock = clock
        self._limits = limits
        self._enter = client.register_script(_ENTER)
        self._close_circuit = client.register_script(_CLOSE_CIRCUIT)

    @contextmanager
    def place(self, target: str) -> Iterator[Place]:
        """See :class:`AccountPort`. Without Redis no place can be had: creates must not run unbounded."""
        token = secrets.token_hex(8)
        place = self._wait_for_place(target, token)
        try:
            yield place
        finally:
            self._report(place.made, token)

    def _wait_for_place(self, target: str, token: str) -> Place:
        give_up = self._clock.monotonic() + PLACE_WAIT_SECONDS
        while (found := self._ask(target, token)) is None:
            if self._clock.monotonic() > give_up or self._clock.wait(PLACE_POLL_SECONDS):
                raise TryAgainLater(
                    f"{self._limits.creates} creates are under way for this account",
                    hint="It is tried again in a moment; parallel_creates under [hostup] sets how many may be.",
                )
        return found

    def enter(self, target: str) -> bool:
        """See :class:`AccountPort`. A target that is turned away is woken as soon as the circuit closes."""
        found = self._ask(target)
        return found is not None and found.trial

    @guard()
    def _ask(self, target: str, token: str | None = None) -> Place | None:
        """Go through the circuit, and take a place if a token is given; None when there is no place free."""
        now = self._clock.now()
        until = (now + self._limits.hold).timestamp()
        wanted: tuple[str | int, ...] = () if token is None else (token, self._limits.creates)
        state, *more = self._enter(keys=[CIRCUIT, CREATES, COUNT], args=[now.timestamp(), until, *wanted])
        if state == "open":
            self._client.sadd(PARKED, target)
            raise CircuitOpen(datetime.fromtimestamp(float(more[0]), tz=UTC))
        return None if state == "full" else Place(state == "trial", _known(more, now))

    def succeeded(self, made: int = 0) -> None:
        """See :class:`AccountPort`. Only what changes something closes the circuit: looks may work while that fails."""
        self._report(made)

    def _report(self, made: int, *tokens: str) -> None:
        """Give places back, and say that so many keys were made."""
        try:
            with guard(), self._client.pipeline(transaction=False) as pipe:
                pipe.exists(CIRCUIT)
                if made:
                    pipe.hincrby(COUNT, "made", made)
                if tokens:
                    pipe.zrem(CREATES, *tokens)
                if pipe.execute()[0] and (made or not tokens):
                    self._close()
        except QueueUnavailable as error:
            # places come back by their time, the count is asked for anew, the circuit ends
            _log.debug(Event.QUEUE_UNAVAILABLE, error=error.what)

    def _close(self) -> None:
        now = self._clock.now().timestamp()
        if self._close_circuit(keys=[CIRCUIT, PARKED, DUE], args=[now]):
            _log.info(Event.CIRCUIT_CLOSED)

    def failed(self, error: HostUpError) -> None:
        """See :class:`AccountPort`."""
        if not is_of_account(error):
            return
        try:
            with guard():
                self._count_failure(error)
        except QueueUnavailable as problem:
            _log.debug(Event.QUEUE_UNAVAILABLE, error=problem.what)  # each target's own backoff still holds

    def _count_failure(self, error: HostUpError) -> None:
        failures = int(self._client.hincrby(CIRCUIT, "failures", 1))
        self._client.expire(CIRCUIT, timedelta(days=1))
        self._client.hdel(CIRCUIT, "trial_until")
        if failures < FAILURES_TO_OPEN and not error.retry_after:
            return
        until = self._clock.now() + self._limits.backoff_of(error).delay(
            max(1, failures - FAILURES_TO_OPEN + 1), "circuit", error.retry_after
        )
        self._client.hset(CIRCUIT, "open_until", str(until.timestamp()))
        _log.warning(
            Event.CIRCUIT_OPENED,
            failures=failures,
            until=until.isoformat(),
            error=error.what,
            request_id=error.request_id,
            hint=error.hint,
        )

    def look(self) -> int | None:
        """See :class:`AccountPort`."""
        try:
            status = self._hostup.status()
        except HostUpError as error:
            self.failed(error)
            raise
        if status.count_problem:
            _log.warning(Event.COUNT_UNKNOWN, error=status.count_problem, request_id=status.request_id)
        if status.key_count is not None:
            self._keep(status.key_count)
        return status.key_count

    def key_count(self) -> int | None:
        """See :class:`AccountPort`."""
        try:
            return self.look()
        except HostUpError as error:
            _log.warning(Event.COUNT_UNKNOWN, error=error.what, request_id=error.request_id)
            return None

    def _keep(self, key_count: int) -> None:
        now = self._clock.now().timestamp()
        try:
            with guard():
                self._client.hset(COUNT, items=["value", str(key_count), "at", str(now), "made", "0"])
        except QueueUnavailable as error:
            _log.debug(Event.QUEUE_UNAVAILABLE, error=error.what)  # only a cache


def _known(count: Sequence[object], now: datetime) -> int | None:
    value, at, made = count
    if value is None or at is None or now.timestamp() - float(str(at)) > COUNT_FRESH_SECONDS:
        return None
    return int(str(value)) + int(str(made or 0))
