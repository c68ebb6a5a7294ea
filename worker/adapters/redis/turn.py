"""Whose turn it is to note how many keys of an account are foreign: long work, which one of all workers does."""

from __future__ import annotations

import secrets
from datetime import timedelta

import redis
import structlog

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import BASELINE, at
from worker.clock import Clock
from worker.errors import QueueUnavailable
from worker.events import Event
from worker.targets.account import DEFAULT_ACCOUNT

_PUT_UP = """
local there = redis.call('GET', KEYS[1])
if there and #there > 64 then there = false end
if there and there ~= ARGV[1] then return there end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return ARGV[2]
"""
"""Put up a mark, if there is none or the one that it replaces; answers the mark that is there then."""

_LEAVE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"

RENEWALS = 3
"""Of a mark, within the time that it holds."""

_log = structlog.get_logger(__name__)


class Turn:
    """One process's share in it: a mark in Redis says whose turn it is, and a new mark that the work goes on.

    It only saves work, for what counts is a check-and-set write in Vault. So without Redis it is everybody's turn, and
    a mark that has stood still for as long as it may hold is passed over, whatever Redis says of its end.
    """

    def __init__(self, client: redis.Redis, account: str = DEFAULT_ACCOUNT) -> None:
        self._client = client
        self._key = at(account, BASELINE)
        self._script = client.register_script(_PUT_UP)
        self._leave = client.register_script(_LEAVE)
        self._mine = self._seen = ""
        self._since = 0.0

    def take(self, clock: Clock, hold: timedelta) -> bool:
        """Whether it is this process's turn, for ``hold`` and as long as it is renewed."""
        stands_still = bool(self._seen) and clock.monotonic() - self._since > hold.total_seconds()
        return self._put_up(clock, hold, self._seen if stands_still else self._mine)

    def renew(self, clock: Clock, hold: timedelta) -> None:
        """Show the others that the work goes on; to be called often."""
        if clock.monotonic() - self._since > hold.total_seconds() / RENEWALS:
            self._put_up(clock, hold, self._mine)

    def leave(self) -> None:
        """The work is done, or cannot be done now."""
        try:
            with guard():
                self._leave(keys=[self._key], args=[self._mine])
        except QueueUnavailable as error:
            _log.debug(Event.QUEUE_UNAVAILABLE, error=error.what)  # it ends by itself

    def _put_up(self, clock: Clock, hold: timedelta, instead_of: str) -> bool:
        mark = secrets.token_hex(8)
        try:
            with guard():
                milliseconds = int(hold.total_seconds() * 1000)
                there = str(self._script(keys=[self._key], args=[instead_of, mark, milliseconds]))
        except QueueUnavailable as error:
            _log.debug(Event.QUEUE_UNAVAILABLE, error=error.what)
            there = mark
        if there == mark:
            self._mine = mark
        if there != self._seen:
            self._seen, self._since = there, clock.monotonic()
        return there == mark
