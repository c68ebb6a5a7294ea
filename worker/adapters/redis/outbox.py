"""The outbox: notices that are not delivered yet, by channel, and what was told lately. It may be lost at any time.

Whoever can write to Redis can forge a notice. So a channel is named by the key only, what a notice says is checked when
it is read, and nothing in it leads anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Annotated

import redis
from pydantic import AfterValidator, Field

from worker.adapters.redis.client import guard, raw
from worker.adapters.redis.keys import outbox, outbox_due, told
from worker.adapters.redis.reading import LONGEST_DOCUMENT, Checked, Moment, Number, Text, checked
from worker.adapters.redis.repair import tell
from worker.clock import moment
from worker.notices.notice import Kind, Notice

MOST = 1_000
"""Notices that wait for one channel; further ones are dropped."""

KEPT = timedelta(days=2)
"""After so long without a new notice the outbox of a channel goes, as when it is configured no more."""

TOLD_FOR = timedelta(days=1)
"""What was told is told again after so long, where it is not over."""

_LATEST_TRY = timedelta(hours=2)
_RIGHT = """
local function right(key, kind)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= kind then redis.call('DEL', key) end
end
"""
"""A key of another type was not written by a worker."""

_PUT = (
    _RIGHT
    + """
right(KEYS[1], 'string')
local longest = tonumber(ARGV[2])
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', longest) then
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left <= longest then return {-1} end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', longest)
end
local full = {}
for i = 2, #KEYS, 2 do
  right(KEYS[i], 'hash')
  right(KEYS[i + 1], 'zset')
  if redis.call('ZCARD', KEYS[i + 1]) >= tonumber(ARGV[5]) then
    full[#full + 1] = i / 2 - 1
  else
    redis.call('HSET', KEYS[i], ARGV[1], ARGV[4])
    redis.call('ZADD', KEYS[i + 1], ARGV[3], ARGV[1])
    redis.call('EXPIRE', KEYS[i], ARGV[6])
    redis.call('EXPIRE', KEYS[i + 1], ARGV[6])
  end
end
return full
"""
)
"""Told already: -1. Else it is put into the outboxes; answers which of them are full."""

_CLAIM = (
    _RIGHT
    + """
right(KEYS[1], 'hash')
right(KEYS[2], 'zset')
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[3], '+inf', 'LIMIT', 0, 100)) do
  redis.call('ZADD', KEYS[2], ARGV[1], id)
end
local id
for _, found in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[1], 'LIMIT', 0, 100)) do
  if #found <= 64 then
    id = found
    break
  end
  redis.call('ZREM', KEYS[2], found)
  redis.call('HDEL', KEYS[1], found)
end
if not id then
  if redis.call('ZCARD', KEYS[2]) == 0 then redis.call('DEL', KEYS[1]) end
  return {}
end
local text = redis.call('HGET', KEYS[1], id)
if text then redis.call('ZADD', KEYS[2], ARGV[2], id) else redis.call('ZREM', KEYS[2], id) end
return {id, text and #text <= tonumber(ARGV[4]) and text or ''}
"""
)
"""Hold the first one that is due; one that is put off for longer than any ever is counts as due."""

_DONE = (
    _RIGHT
    + """
right(KEYS[1], 'hash')
right(KEYS[2], 'zset')
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
"""
)
"""One call, where a transaction of two would be four commands: with `published` it is made after each rotation."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A notice that is to be delivered, how often that failed, and since when it is tried."""

    notice: Notice
    since: datetime
    tries: int = 0


def _kind(text: str) -> Kind:
    return Kind(text)  # raises ValueError


class StoredNotice(Checked):
    """A notice as it lies in Redis."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    event: Annotated[str, AfterValidator(_kind)]
    at: Annotated[str, Field(max_length=40)]
    log: Text
    since: Moment
    tries: Number
    target: Text | None = None
    owner: Text | None = None
    what: Text = ""
    hint: Text = ""
    access_key: Text | None = None
    request_id: Text | None = None
    rotation_id: Text | None = None
    vault_version: Number | None = None

    def waiting(self) -> Waiting | None:
        """As it is worked with; None for a moment that is none."""
        since = moment(self.since)
        fields = self.model_dump(exclude={"since", "tries", "event"})
        return Waiting(Notice(event=Kind(self.event), **fields), since, self.tries) if since else None


class Outbox:
    """All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._put = client.register_script(_PUT)
        self._claim = client.register_script(_CLAIM)
        self._done = client.register_script(_DONE)

    @guard()
    def put(self, waiting: Waiting, mark: str, channels: Sequence[str], held_until: datetime) -> list[str] | None:
        """Put a notice into the outboxes of channels, held until then; None where it was told already.

        Answers the channels whose outbox is full.
        """
        keys = [told(mark), *(key for channel in channels for key in (outbox(channel), outbox_due(channel)))]
        numbers = self._put(
            keys=keys,
            args=[
                waiting.notice.id,
                int(TOLD_FOR.total_seconds() * 1000),
                held_until.timestamp(),
                _text(waiting),
                MOST,
                int(KEPT.total_seconds()),
            ],
        )
        full = [int(number) for number in numbers]
        return None if full == [-1] else [channels[number] for number in full]

    @guard()
    def over(self, marks: Sequence[str]) -> bool:
        """Forget that these were told; whether one of them was."""
        return bool(self._client.delete(*map(told, marks)))

    @guard()
    def claim(self, channel: str, now: datetime, held_until: datetime) -> Waiting | None:
        """Take the first notice that is due, and hold it until then; None: there is none."""
        times = [now.timestamp(), held_until.timestamp(), (now + _LATEST_TRY).timestamp(), LONGEST_DOCUMENT]
        while found := self._claim(keys=[outbox(channel), outbox_due(channel)], args=times):
            name, text = map(str, found)
            stored = checked(StoredNotice, text)
            waiting = stored.waiting() if stored and stored.id == name else None
            if waiting:
                return waiting
            self._remove(channel, name)
            tell(outbox(channel), "what is no notice")
        return None

    @guard()
    def done(self, channel: str, notice_id: str) -> None:
        """It is delivered, or given up."""
        self._remove(channel, notice_id)

    @guard()
    def postpone(self, channel: str, waiting: Waiting, until: datetime) -> None:
        """It is to be tried again then."""
        with self._client.pipeline() as pipe:
            pipe.hset(outbox(channel), waiting.notice.id, _text(waiting))
            pipe.zadd(outbox_due(channel), {waiting.notice.id: until.timestamp()})
            pipe.execute()

    def _remove(self, channel: str, name: str) -> None:
        self._done(keys=[outbox(channel), outbox_due(channel)], args=[raw(name)])


def _text(waiting: Waiting) -> str:
    notice = waiting.notice  # asdict() copies deeply, which takes longer than all the rest of this
    known = {each.name: value for each in fields(notice) if (value := getattr(notice, each.name)) is not None}
    known["event"] = waiting.notice.event.value
    return StoredNotice(**known, since=waiting.since.isoformat(), tries=waiting.tries).model_dump_json()
