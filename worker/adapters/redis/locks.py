"""Who does what that only one should do: looking at a target, or a piece of work for all."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import redis

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import VERSIONS, lock, once, woken
from worker.adapters.redis.repair import tell
from worker.rotation.ports import NOTHING_SEEN, Seen

DIGITS = 16
"""Of a version; more is no version of ours."""

_HOLD = """
local longest = tonumber(ARGV[2])
local mine, lied = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', longest), false
if not mine then
  local left = redis.call('PTTL', KEYS[1])
  lied = left < 0 or left > longest or redis.call('TYPE', KEYS[1]).ok ~= 'string'
  if lied then mine = redis.call('SET', KEYS[1], ARGV[1], 'PX', longest) end
end
local last, version = '', ''
if KEYS[2] then
  last = redis.call('TYPE', KEYS[2]).ok == 'string' and redis.call('GET', KEYS[2]) or ''
  if #last > 64 or not string.match(last, '^%x+$') then
    redis.call('DEL', KEYS[2])
    last = ''
  end
  if redis.call('TYPE', KEYS[3]).ok == 'hash' then version = redis.call('HGET', KEYS[3], ARGV[3]) or '' end
  if #version > 64 then version = '' end
end
return {mine and 1 or 0, lied and 1 or 0, last, version}
"""
"""Take what is free, or is held for longer than anybody holds it: that was not written by a worker."""

PARTS = 3
"""Of what was seen of a record."""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(frozen=True, slots=True)
class Hold:
    """Whether the lock on a target is ours, by which token, and which wake-up of the target was the last until then.

    ``seen`` is what a worker saw last of its record.
    """

    target: str
    mine: bool
    token: str = ""
    woken: str = ""
    seen: Seen = NOTHING_SEEN


class TargetLocks:
    """Locks that end by themselves. They only save work: the fence is the record's check-and-set."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._hold = client.register_script(_HOLD)
        self._release = client.register_script(_RELEASE)

    def hold(self, target: str, longest: timedelta) -> Hold:
        """Try to be the only one who looks at a target; without Redis the answer is yes.

        The hold ends with the look (:meth:`worker.adapters.redis.index.Index.finish_look`), when it is released, or
        after ``longest``.
        """
        token = secrets.token_hex(8)
        try:
            mine, lied, last, version = self._hold(
                keys=[lock(target), woken(target), VERSIONS], args=[token, _milliseconds(longest), target]
            )
        except (redis.RedisError, OSError):
            return Hold(target, mine=True)
        if lied:
            tell(lock(target), "held for longer than a look may take")
        return Hold(target, bool(mine), token, str(last), as_seen(version))

    def release(self, hold: Hold) -> None:
        """Let others look at a target; no error without Redis, as a hold ends by itself."""
        with suppress(redis.RedisError, OSError):  # the next call that cannot do without Redis raises
            self._release(keys=[lock(hold.target)], args=[hold.token])

    @guard()
    def only_one(self, work: str, hold: timedelta) -> bool:
        """Whether this is the first to ask for ``work`` within ``hold``. Raises QueueUnavailable."""
        mine, lied, _, _ = self._hold(keys=[once(work)], args=["1", _milliseconds(hold)])
        if lied:
            tell(once(work), "taken for longer than it may be")
        return bool(mine)

    @guard()
    def forget(self, work: str) -> None:
        """Let the next one who asks for ``work`` be the first. Raises QueueUnavailable."""
        self._client.delete(once(work))


def as_seen(text: object) -> Seen:
    """What was seen of a record, as Redis has it: its version, and the newest entry; a release before wrote the first.

    Nothing where anything else stands there.
    """
    parts = text.split(" ") if isinstance(text, str) else []
    if not 1 <= len(parts) <= PARTS or not _whole(parts[0]):
        return NOTHING_SEEN
    version, entry, entry_hash = (parts + [""] * PARTS)[:PARTS]
    return Seen(_whole(version), _whole(entry), entry_hash if entry_hash.isalnum() else "")


def seen_text(seen: Seen) -> str:
    """The same, to be kept there."""
    return f"{seen.version} {seen.entry} {seen.entry_hash}" if seen.entry else str(seen.version)


def _whole(text: object) -> int:
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) < DIGITS else 0


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
