"""Putting our own keys right: what no worker writes is made anew, and told.

That loses nothing: all that lies in Redis can be made anew from Vault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import redis

from worker.adapters.redis import keys
from worker.adapters.redis.client import guard
from worker.adapters.redis.reading import LONGEST_DOCUMENT
from worker.events import Event

TYPES: Mapping[str, str] = {
    keys.DUE: "zset",
    keys.WATCHES: "zset",
    keys.WORKERS: "zset",
    keys.CREATES: "zset",
    keys.SEEN: "hash",
    keys.REQUESTS: "hash",
    keys.SUMMARY: "hash",
    keys.IDS: "hash",
    keys.IDS_OF: "hash",
    keys.VERSIONS: "hash",
    keys.PLANS: "hash",
    keys.CIRCUIT: "hash",
    keys.PAUSES: "hash",
    keys.COUNT: "hash",
    keys.PARKED: "set",
    keys.BUILT: "string",
    keys.BASELINE: "string",
    keys.TICKED: "string",
    keys.AUDIT: "string",
    keys.API_KEY: "string",
}
"""The keys that there are once, the due set and the watches first; those of one target are put right where they lie.

What each account has for itself is that of the default one here.
"""

LONGEST: Mapping[str, int] = {
    keys.REQUESTS: 8_192,
    keys.IDS: 64,
    keys.PLANS: 128,
    keys.VERSIONS: 64,
}
"""Bytes of what each of these may hold for one name; of the others it is :data:`LONGEST_DOCUMENT`.

So all that one call reads is within :data:`worker.adapters.redis.replies.LONGEST_REPLY`.
"""

LONGEST_NAME = 300
"""Bytes of a name: of a target, a worker or an id."""

PAGE = 5_000
"""So many entries of each key are looked at by one call."""

MOST = 1_000
"""So many moments are put right at a time."""

_PUT_RIGHT = """
local found = {}
for i, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= ARGV[i] then
    redis.call('DEL', key)
    found[#found + 1] = key
    found[#found + 1] = kind
  end
end
local now, late = ARGV[#KEYS + 1], {}
for i = 1, 2 do
  local names = redis.call('ZRANGEBYSCORE', KEYS[i], ARGV[#KEYS + 1 + i], '+inf', 'LIMIT', 0, ARGV[#KEYS + 4])
  for _, name in ipairs(names) do redis.call('ZADD', KEYS[i], now, name) end
  late[i] = #names
end
return {late[1], late[2], redis.call('ZCARD', KEYS[1]), redis.call('ZCARD', KEYS[2]), unpack(found)}
"""
"""Delete keys of another type, have looks that are put off for ever happen now, and count what is scheduled."""

_SHORTEN = """
local name, answer = tonumber(ARGV[1]), {}
local scans = {hash = 'HSCAN', zset = 'ZSCAN', set = 'SSCAN'}
local drops = {hash = 'HDEL', zset = 'ZREM', set = 'SREM'}
for i, key in ipairs(KEYS) do
  local kind, cursor, longest = redis.call('TYPE', key).ok, ARGV[2 * i + 1], tonumber(ARGV[2 * i + 2])
  local next, dropped = '0', 0
  if kind == 'string' and redis.call('STRLEN', key) > longest then
    dropped = redis.call('DEL', key)
  elseif scans[kind] then
    local found = redis.call(scans[kind], key, cursor, 'COUNT', ARGV[2])
    next = found[1]
    for at = 1, #found[2], kind == 'set' and 1 or 2 do
      local member = found[2][at]
      if #member > name or kind == 'hash' and #found[2][at + 1] > longest then
        dropped = dropped + redis.call(drops[kind], key, member)
      end
    end
  end
  answer[2 * i - 1], answer[2 * i] = next, dropped
end
return answer
"""
"""Drop what is longer than anything of ours, of one page of each key; answers where each goes on, and how much it was.

It is not read by the worker: that is what it would take the memory of.
"""

STRANGE = "No worker writes that: see who else can write to this Redis. It was made anew; nothing is lost."
SHORTER = (
    "Right after watch_every was made shorter that is as it should be; else no worker writes that: see who else can "
    "write to this Redis. It was made anew; nothing is lost."
)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """How many targets have a next look, and a next watch."""

    looks: int
    watches: int


class Repairs:
    """Sees that what lies in Redis may be used, of these accounts, too. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis, accounts: Iterable[str] = ()) -> None:
        self._client = client
        self._types = {**TYPES, **{keys.at(name, key): TYPES[key] for name in accounts for key in keys.OF_ACCOUNT}}
        self._put_right = client.register_script(_PUT_RIGHT)
        self._shorten = client.register_script(_SHORTEN)

    @guard()
    def put_right(self, now: datetime, last_look: datetime, last_watch: datetime) -> Scheduled:
        """See to all keys that there are once; no look is put off beyond ``last_look``, no watch beyond the other."""
        looks, watches, all_looks, all_watches, *wrong = self._put_right(
            keys=list(self._types),
            args=[
                *self._types.values(),
                now.timestamp(),
                f"({last_look.timestamp()}",
                f"({last_watch.timestamp()}",
                MOST,
            ],
        )
        for key, kind in zip(wrong[::2], wrong[1::2], strict=True):
            tell(str(key), f"of type {kind}, not {self._types[str(key)]}")
        if looks:
            tell(keys.DUE, "looks that are put off for ever", entries=looks)
        if watches:
            tell(keys.WATCHES, "watches that are put off for too long", SHORTER, entries=watches)
        return Scheduled(int(all_looks), int(all_watches))

    @guard()
    def shorten(self) -> None:
        """Drop what is too long to be ours, so that all else can be read."""
        cursors, dropped = dict.fromkeys(self._types, "0"), Counter[str]()
        while cursors:
            places = [each for key, cursor in cursors.items() for each in (cursor, LONGEST.get(key, LONGEST_DOCUMENT))]
            found = self._shorten(keys=[*cursors], args=[LONGEST_NAME, PAGE, *places])
            answers = zip(cursors, map(str, found[::2]), map(int, found[1::2]), strict=True)
            cursors = {}
            for key, cursor, number in answers:
                dropped[key] += number
                if cursor != "0":
                    cursors[key] = cursor
        for key, number in dropped.items():
            if number:
                tell(key, "what is longer than anything that a worker writes", dropped=number)

    @guard()
    def wrong_types(self) -> dict[str, str]:
        """The keys of another type than ours, with that type."""
        with self._client.pipeline(transaction=False) as pipe:
            for key in self._types:
                pipe.type(key)
            kinds = map(str, pipe.execute())
        found = zip(self._types, kinds, strict=True)
        return {key: kind for key, kind in found if kind not in ("none", self._types[key])}

    @guard()
    def try_out(self, queue: str) -> None:
        """Do once what a worker does all the time, to hear from Redis why it would refuse: write, and look at queues.

        What is written is gone in a moment.
        """
        with self._client.pipeline(transaction=False) as pipe:
            pipe.set(keys.TRIAL, "1", px=1)
            # each tick also looks at the queue that earlier releases had
            for key in (queue, "celery", keys.UNACKED, keys.UNACKED_INDEX, f"_kombu.binding.{queue}"):
                pipe.exists(key)
            pipe.execute()
        self._client.eval("return redis.call('EXISTS', KEYS[1], KEYS[2])", 2, keys.DUE, keys.WATCHES)


def tell(key: str, what: str, hint: str = STRANGE, **facts: object) -> None:
    """Say what was wrong at one of our keys, and was put right."""
    import structlog  # noqa: PLC0415 - loading it takes longer than `rotator status TARGET` may take

    structlog.get_logger(__name__).warning(Event.REDIS_REPAIRED, key=key, found=what, hint=hint, **facts)
