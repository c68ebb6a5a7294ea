"""What all workers share about the one HostUp account: places for creates, a circuit, the number of keys.

It lives in Redis and may be lost at any time: the places come back by their time, the circuit closes, the count is
asked for again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import redis
import structlog

from worker.backoff import Backoff
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
from worker.ports import HostUpPort
from worker.queue import PREFIX, guard

FAILURES_TO_OPEN = 3
COUNT_FRESH_SECONDS = 60.0
PLACE_WAIT_SECONDS = 10.0
PLACE_POLL_SECONDS = 0.02

_ENTER_PLACE = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[4])
return 1
"""

_ENTER_CIRCUIT = """
local open = tonumber(redis.call('HGET', KEYS[1], 'open_until') or '0')
if open == 0 then return {0, '0'} end
local now = tonumber(ARGV[1])
if now < open then return {2, tostring(open)} end
local trial = tonumber(redis.call('HGET', KEYS[1], 'trial_until') or '0')
if now < trial then return {2, tostring(trial)} end
redis.call('HSET', KEYS[1], 'trial_until', ARGV[2])
return {1, '0'}
"""

_CLOSE_CIRCUIT = """
local was = redis.call('HEXISTS', KEYS[1], 'open_until')
redis.call('DEL', KEYS[1])
local parked = redis.call('SMEMBERS', KEYS[2])
for _, name in ipairs(parked) do redis.call('ZADD', KEYS[3], 'XX', ARGV[1], name) end
redis.call('DEL', KEYS[2])
return was
"""

_log = structlog.get_logger(__name__)


class AccountPort(Protocol):
    """What a rotation needs to know of the account."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the places for creates; raises TryAgainLater when none comes free soon."""
        ...

    def enter(self, target: str) -> bool:
        """See whether calls may be made; True means: as a trial. Raises CircuitOpen."""
        ...

    def succeeded(self, made: int = 0) -> None:
        """A call succeeded; ``made`` keys more (or fewer) exist since."""
        ...

    def failed(self, error: HostUpError) -> None:
        """A call failed."""
        ...

    def look(self) -> int | None:
        """Ask HostUp how many keys there are; None when its answer does not tell. Raises HostUpError."""
        ...

    def key_count(self, *, fresh: bool = False) -> int | None:
        """How many keys the account has; None when that cannot be had now."""
        ...


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

    def __init__(
        self, client: redis.Redis, hostup: HostUpPort, clock: Clock, limits: AccountLimits, prefix: str = PREFIX
    ) -> None:
        self._client = client
        self._hostup = hostup
        self._clock = clock
        self._limits = limits
        self._places = f"{prefix}creates"
        self._circuit = f"{prefix}circuit"
        self._parked = f"{prefix}parked"
        self._count = f"{prefix}count"
        self._due = f"{prefix}due"
        self._enter_place = client.register_script(_ENTER_PLACE)
        self._enter_circuit = client.register_script(_ENTER_CIRCUIT)
        self._close_circuit = client.register_script(_CLOSE_CIRCUIT)

    @contextmanager
    def place(self) -> Iterator[None]:
        """See :class:`AccountPort`. Without Redis no place can be had: creates must not run unbounded."""
        token = secrets.token_hex(8)
        self._wait_for_place(token)
        try:
            yield
        finally:
            self._leave_place(token)

    def _wait_for_place(self, token: str) -> None:
        give_up = self._clock.monotonic() + PLACE_WAIT_SECONDS
        while not self._try_place(token):
            if self._clock.monotonic() > give_up or self._clock.wait(PLACE_POLL_SECONDS):
                raise TryAgainLater(
                    f"{self._limits.creates} creates are under way for this account",
                    hint="It is tried again in a moment; parallel_creates under [hostup] sets how many may be.",
                )

    @guard()
    def _try_place(self, token: str) -> bool:
        now = self._clock.now()
        ends = (now + self._limits.hold).timestamp()
        return bool(self._enter_place(keys=[self._places], args=[now.timestamp(), ends, self._limits.creates, token]))

    def _leave_place(self, token: str) -> None:
        try:
            with guard():
                self._client.zrem(self._places, token)
        except QueueUnavailable as error:
            _log.debug(Event.QUEUE_UNAVAILABLE, error=error.what)  # the place comes back by its time

    @guard()
    def enter(self, target: str) -> bool:
        """See :class:`AccountPort`. A target that is turned away is woken as soon as the circuit closes."""
        now = self._clock.now()
        trial_until = (now + self._limits.hold).timestamp()
        state, until = self._enter_circuit(keys=[self._circuit], args=[now.timestamp(), trial_until])
        if int(state) == 2:  # noqa: PLR2004 - the script's word for open
            self._client.sadd(self._parked, target)
            raise CircuitOpen(datetime.fromtimestamp(float(until), tz=UTC))
        return int(state) == 1

    def succeeded(self, made: int = 0) -> None:
        """See :class:`AccountPort`. Only what changes something closes the circuit: looks may work while that fails."""
        try:
            with guard(), self._client.pipeline(transaction=False) as pipe:
                pipe.hincrby(self._count, "made", made)
                pipe.exists(self._circuit)
                if pipe.execute()[1]:
                    self._close()
        except QueueUnavailable as error:
            _log.debug(Event.QUEUE_UNAVAILABLE, error=error.what)  # the count is asked for anew, the circuit ends

    def _close(self) -> None:
        now = self._clock.now().timestamp()
        if self._close_circuit(keys=[self._circuit, self._parked, self._due], args=[now]):
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
        failures = int(self._client.hincrby(self._circuit, "failures", 1))
        self._client.expire(self._circuit, timedelta(days=1))
        self._client.hdel(self._circuit, "trial_until")
        if failures < FAILURES_TO_OPEN and not error.retry_after:
            return
        until = self._clock.now() + self._limits.backoff_of(error).delay(
            max(1, failures - FAILURES_TO_OPEN + 1), "circuit", error.retry_after
        )
        self._client.hset(self._circuit, "open_until", str(until.timestamp()))
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
        if status.key_count is not None:
            self._keep(status.key_count)
        return status.key_count

    def key_count(self, *, fresh: bool = False) -> int | None:
        """See :class:`AccountPort`. Between looks the count is kept up by what the workers make and delete."""
        known = None if fresh else self._known_count()
        if known is not None:
            return known
        try:
            return self.look()
        except HostUpError as error:
            _log.warning(Event.COUNT_UNKNOWN, error=error.what, request_id=error.request_id)
            return None

    def _keep(self, key_count: int) -> None:
        now = self._clock.now().timestamp()
        try:
            with guard():
                self._client.hset(self._count, items=["value", str(key_count), "at", str(now), "made", "0"])
        except QueueUnavailable as error:
            _log.debug(Event.QUEUE_UNAVAILABLE, error=error.what)  # only a cache

    def _known_count(self) -> int | None:
        try:
            with guard():
                value, at, made = self._client.hmget(self._count, ["value", "at", "made"])
        except QueueUnavailable:
            return None  # then HostUp itself is asked
        if value is None or at is None:
            return None
        if self._clock.now().timestamp() - float(str(at)) > COUNT_FRESH_SECONDS:
            return None
        return int(str(value)) + int(str(made or 0))
