"""What all workers share about an account at HostUp: places for creates, a circuit, the number of keys.

It lives in Redis and may be lost at any time: the places come back by their time, the circuit closes, the count is
asked for again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
import structlog

from worker.adapters.redis.circuit import LONGEST_HELD, Circuit, is_of_account
from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import CIRCUIT, COUNT, CREATES, PAUSES, at
from worker.adapters.redis.reading import count, seconds, since
from worker.adapters.redis.repair import tell
from worker.clock import Clock
from worker.errors import (
    CircuitOpen,
    HostUpCall,
    HostUpError,
    HostUpRateLimited,
    HostUpUncertain,
    QueueUnavailable,
    TryAgainLater,
)
from worker.events import Event
from worker.rotation.ports import HostUpPort, Place
from worker.targets.account import DEFAULT_ACCOUNT, account_option, at_account, hostup_table, logged
from worker.targets.backoff import Backoff

COUNT_FRESH = timedelta(minutes=1)
MOST_BEGUN = 10**12
PLACE_WAIT_SECONDS = 10.0
PLACE_POLL_SECONDS = 0.02
FAILED_TOO_OFTEN = "HostUp has failed too often in a row"

_ENTER = """
local now, ends, longest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lied = {}
local function held_until(key, field, most)
  local text = redis.call('HGET', key, field)
  if not text then return 0 end
  -- a moment as it is shown, too: tonumber() would also take 0x7fffffff
  local value = #text < 40 and string.match(text, '^%d+%.?%d*$') and tonumber(text)
  if value and value <= now + most then return value end
  lied[#lied + 1] = key
  -- what is no moment holds nothing back; what is too far away holds back as long as is ever asked for
  local is_far = value and value > 0
  if is_far then redis.call('HSET', key, field, tostring(now + most)) else redis.call('HDEL', key, field) end
  return is_far and now + most or 0
end
local open = held_until(KEYS[1], 'open_until', longest)
if open > 0 then
  if now < open then return {'open', tostring(open), table.concat(lied, ' ')} end
  local trial = held_until(KEYS[1], 'trial_until', ends - now)
  if now < trial then return {'open', tostring(trial), table.concat(lied, ' ')} end
end
local paused = held_until(KEYS[4], ARGV[4], longest)
if now < paused then return {'paused', tostring(paused), table.concat(lied, ' ')} end
if ARGV[5] then
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
  if redis.call('ZREMRANGEBYSCORE', KEYS[2], '(' .. tostring(ends + 1), '+inf') > 0 then lied[#lied + 1] = KEYS[2] end
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then return {'full', '', table.concat(lied, ' ')} end
  redis.call('ZADD', KEYS[2], ARGV[2], ARGV[5])
  local begun = redis.pcall('HINCRBY', KEYS[3], 'begun', 1)
  if type(begun) == 'table' then redis.call('HSET', KEYS[3], 'begun', '1') end
end
if open > 0 then redis.call('HSET', KEYS[1], 'trial_until', ARGV[2]) end
local known = redis.call('HMGET', KEYS[3], 'value', 'at', 'made')
for i = 1, 3 do known[i] = known[i] and #known[i] < 40 and known[i] or '' end
return {open > 0 and 'trial' or 'free', '', table.concat(lied, ' '), unpack(known)}
"""
"""The circuit; the pause of this kind of call; a place, if a token for one is given; and the number of keys as far as
it is known: in one call. A moment that is none of ours is cut to what one of ours can be, and its key is named."""

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


class Account:
    """See :class:`AccountPort`; shared by all workers through Redis."""

    def __init__(
        self,
        client: redis.Redis,
        hostup: HostUpPort,
        clock: Clock,
        limits: AccountLimits,
        name: str = DEFAULT_ACCOUNT,
    ) -> None:
        self._client = client
        self._hostup = hostup
        self._clock = clock
        self._limits = limits
        self._name = name
        self._creates, self._count = at(name, CREATES), at(name, COUNT)
        self._held = at(name, CIRCUIT), at(name, PAUSES)
        self._circuit = Circuit(client, name)
        self._enter = client.register_script(_ENTER)

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
                where = hostup_table(self._name)
                raise TryAgainLater(
                    f"{self._limits.creates} creates are under way for this account",
                    hint=f"It is tried again in a moment; parallel_creates under {where} sets how many may be.",
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
        wanted: tuple[str | int, ...] = (
            ("delete_key",) if token is None else ("create_key", token, self._limits.creates)
        )
        state, end, lied, *known = self._enter(
            keys=[self._held[0], self._creates, self._count, self._held[1]],
            args=[now.timestamp(), until, LONGEST_HELD.total_seconds(), *wanted],
        )
        for key in dict.fromkeys(str(lied).split()):
            tell(key, "calls to HostUp that are held back for longer than they ever are")
        if state in ("open", "paused"):
            self._circuit.turn_away(target)
            why = f"HostUp asked for a pause of such calls ({wanted[0]})" if state == "paused" else FAILED_TOO_OFTEN
            command = f"rotator circuit{account_option(self._name)}"
            raise CircuitOpen(seconds(end) or now, why + at_account(self._name), command)
        return None if state == "full" else Place(state == "trial", _known(known, now))

    def succeeded(self, made: int = 0) -> None:
        """See :class:`AccountPort`. Only what changes something closes the circuit: looks may work while that fails."""
        self._report(made)

    def _report(self, made: int, *tokens: str) -> None:
        """Give places back, and say that so many keys were made."""
        try:
            with guard(), self._client.pipeline(transaction=False) as pipe:
                pipe.exists(self._held[0])
                if made:
                    pipe.hincrby(self._count, "made", made)
                if tokens:
                    pipe.zrem(self._creates, *tokens)
                if pipe.execute()[0] and (made or not tokens):
                    self._circuit.close(self._clock.now())
        except QueueUnavailable as error:
            # places come back by their time, the count is asked for anew, the circuit ends
            _log.debug(Event.QUEUE_UNAVAILABLE, error=error.what)

    def failed(self, error: HostUpError) -> None:
        """See :class:`AccountPort`."""
        if not is_of_account(error):
            return
        try:
            self._circuit.count_failure(error, self._limits.backoff_of(error), self._clock.now())
        except QueueUnavailable as problem:
            _log.debug(Event.QUEUE_UNAVAILABLE, error=problem.what)  # each target's own backoff still holds

    def quiet(self) -> int | None:
        """See :class:`AccountPort`."""
        now = self._clock.now().timestamp()
        try:
            with guard(), self._client.pipeline(transaction=True) as pipe:
                pipe.zcount(self._creates, now, "+inf")
                pipe.hget(self._count, "begun")
                under_way, begun = pipe.execute()
        except QueueUnavailable:
            return None
        return None if under_way else count(begun, MOST_BEGUN) or 0

    def look(self) -> int | None:
        """See :class:`AccountPort`."""
        self._see_that_status_may_be_asked()
        try:
            status = self._hostup.status()
        except HostUpError as error:
            self.failed(error)
            raise
        if status.count_problem:
            _log.warning(
                Event.COUNT_UNKNOWN, error=status.count_problem, request_id=status.request_id, **logged(self._name)
            )
        if status.key_count is not None:
            self._keep(status.key_count)
        return status.key_count

    def _see_that_status_may_be_asked(self) -> None:
        now = self._clock.now()
        try:
            until = self._circuit.paused_until("status", now)
        except QueueUnavailable:
            return
        if until:
            call = HostUpCall("status", retry_after=(until - now).total_seconds())
            hint = f"It is not asked before {until.isoformat()}; see `rotator circuit{account_option(self._name)}`."
            raise HostUpRateLimited("HostUp asked for a pause of looks at the status", call, hint=hint)

    def key_count(self) -> int | None:
        """See :class:`AccountPort`."""
        try:
            return self.look()
        except HostUpError as error:
            _log.warning(Event.COUNT_UNKNOWN, error=error.what, request_id=error.request_id, **logged(self._name))
            return None

    def _keep(self, key_count: int) -> None:
        now = self._clock.now().timestamp()
        try:
            with guard():
                self._client.hset(self._count, items=["value", str(key_count), "at", str(now), "made", "0"])
        except QueueUnavailable as error:
            _log.debug(Event.QUEUE_UNAVAILABLE, error=error.what)  # only a cache


def _known(known: Sequence[object], now: datetime) -> int | None:
    value, at, made = (*known, None, None, None)[:3]
    number, more, asked = count(value), count(made or "0"), since(at, now)
    if number is None or more is None or asked is None or now - asked > COUNT_FRESH:
        return None
    return max(0, number + more)
