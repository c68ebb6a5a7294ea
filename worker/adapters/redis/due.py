"""When each target wants to be looked at next: the due set, from which workers take what is due."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import count

import redis

from worker.adapters.redis.client import batches, guard, raw
from worker.adapters.redis.keys import BUILT, DUE, woken
from worker.adapters.redis.repair import tell

WAKE_UP_KEPT = timedelta(days=1)
"""How long a wake-up is remembered, so that a look under way when it came is followed by another: longer than any look.

After a look of a worker that was frozen for longer still, it is the audit that has the target looked at again.
"""

CLAIM = """
local dropped, taken = 0, {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])) do
  if #name <= 64 then
    redis.call('ZADD', KEYS[1], ARGV[2], name)
    taken[#taken + 1] = name
  else
    dropped = dropped + redis.call('ZREM', KEYS[1], name)
  end
end
return {dropped, unpack(taken)}
"""
"""Takes what is due of a sorted set; each name comes back by itself later, but for one that is too long for a name.

Answers how many those were, and then the others: for :func:`claimed`.
"""

TAKE = """
local taken = {}
for i = 3, #ARGV do
  local score = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if score and tonumber(score) <= tonumber(ARGV[1]) then
    redis.call('ZADD', KEYS[1], ARGV[2], ARGV[i])
    taken[#taken + 1] = ARGV[i]
  end
end
return taken
"""
"""The same of names that are given, as far as they are due still."""

PAGE = 1_000
"""So many names are looked through at a time."""

Passes = Callable[[str], bool]
"""Whether a target may be taken now."""

_CLAIM_NEXT = (
    """
if redis.call('LLEN', KEYS[2]) > 0 then return {} end
"""
    + CLAIM
)


def claimed(key: str, answer: Sequence[object]) -> tuple[str, ...]:
    """The names that :data:`CLAIM` took of a key; what it dropped is told."""
    dropped, *names = answer or (0,)
    if dropped:
        tell(key, "names that are longer than any of a target", dropped=dropped)
    return tuple(map(str, names))


def passing(client: redis.Redis, key: str, now: datetime, limit: int, passes: Passes) -> list[str]:
    """What is due of a sorted set and may be taken, in order, at most ``limit``; nothing is taken here."""
    found: list[str] = []
    for start in count(0, PAGE):
        names = [str(name) for name in client.zrangebyscore(key, "-inf", now.timestamp(), start, PAGE)]
        found += filter(passes, names)
        if len(found) >= limit or len(names) < PAGE:
            break
    return found[:limit]


def others(client: redis.Redis, key: str, known: Container[str]) -> Iterator[list[str]]:
    """What lies in a sorted set beside these names, in pages; each may be dropped before the next is asked for."""
    cursor, begun = 0, False
    while cursor or not begun:
        with guard():
            cursor, page = client.zscan(key, cursor, count=PAGE)
        begun = True
        if found := [str(name) for name, _ in page if name not in known]:
            yield found


class DueSet:
    """The due set. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._claim = client.register_script(CLAIM)
        self._claim_next = client.register_script(_CLAIM_NEXT)
        self._take = client.register_script(TAKE)

    @guard()
    def schedule(self, target: str, when: datetime) -> None:
        """Note when a target wants to be looked at next."""
        self._client.zadd(DUE, {target: when.timestamp()})

    @guard()
    def wake(self, target: str) -> None:
        """Have a target looked at before all that is due, also when a look under way may not see what is new."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.set(woken(target), secrets.token_hex(8), ex=WAKE_UP_KEPT)
            pipe.zadd(DUE, {target: 0})
            pipe.execute()

    @guard()
    def wake_all(self, targets: Iterable[str], now: datetime) -> None:
        """Have many targets looked at from now on, also after a look under way. A call for each batch."""
        for batch in batches(targets):
            with self._client.pipeline(transaction=False) as pipe:
                for name in batch:
                    pipe.set(woken(name), secrets.token_hex(8), ex=WAKE_UP_KEPT)
                pipe.zadd(DUE, dict.fromkeys(batch, now.timestamp()), lt=True)
                pipe.execute()

    @guard()
    def look_sooner(self, moments: Mapping[str, datetime]) -> None:
        """Have targets looked at by these moments; one that is scheduled earlier stays so. A call for each batch."""
        for batch in batches(moments.items()):
            self._client.zadd(DUE, {name: when.timestamp() for name, when in batch}, lt=True)

    @guard()
    def schedule_missing(self, targets: Iterable[str], when: datetime) -> None:
        """Note a first look for targets that have none yet; from then on the due set is there (:meth:`is_built`).

        Both at once: a Redis that forgets everything in between would be taken for built, and hold no target.
        """
        scores = dict.fromkeys(targets, when.timestamp())
        with self._client.pipeline(transaction=True) as pipe:
            if scores:
                pipe.zadd(DUE, scores, nx=True)
            pipe.set(BUILT, "1")
            pipe.execute()

    @guard()
    def is_taken_up(self, target: str) -> bool:
        """Whether a target that was woken has been taken up by a worker since."""
        return self._client.zscore(DUE, target) != 0

    @guard()
    def is_built(self) -> bool:
        """Whether the due set is there; it is not after Redis was wiped."""
        return bool(self._client.exists(BUILT))

    @guard()
    def is_scheduled(self, target: str) -> bool:
        """Whether a target has a next look."""
        return self._client.zscore(DUE, target) is not None

    def others(self, known: Container[str]) -> Iterator[list[str]]:
        """See :func:`others`."""
        return others(self._client, DUE, known)

    @guard()
    def due(self, now: datetime) -> int:
        """How many targets want a look now, and nobody has taken up yet."""
        return int(self._client.zcount(DUE, "-inf", now.timestamp()))

    @guard()
    def forget(self, targets: Iterable[str]) -> None:
        """Drop targets that are no longer configured."""
        for batch in batches(targets):
            self._client.zrem(DUE, *map(raw, batch))

    @guard()
    def claim(self, now: datetime, hold: timedelta, limit: int, passes: Passes | None = None) -> tuple[str, ...]:
        """Take what is due, at most ``limit``: each comes back by itself after ``hold`` should its message be lost.

        With ``passes`` only what it lets pass.
        """
        if passes:
            return self._claim_passing(now, hold, limit, passes)
        return claimed(DUE, self._claim(keys=[DUE], args=[now.timestamp(), (now + hold).timestamp(), limit]))

    @guard()
    def claim_next(self, now: datetime, hold: timedelta, messages: str, passes: Passes | None = None) -> str | None:
        """Take one target that is due, unless messages wait in that Celery queue: they were there first.

        With ``passes`` the first one that it lets pass.
        """
        if passes:
            taken = () if self._client.llen(messages) else self._claim_passing(now, hold, 1, passes)
            return next(iter(taken), None)
        found = self._claim_next(keys=[DUE, messages], args=[now.timestamp(), (now + hold).timestamp(), 1])
        return next(iter(claimed(DUE, found)), None)

    def _claim_passing(self, now: datetime, hold: timedelta, limit: int, passes: Passes) -> tuple[str, ...]:
        names = passing(self._client, DUE, now, limit, passes)
        taken = self._take(keys=[DUE], args=[now.timestamp(), (now + hold).timestamp(), *names]) if names else ()
        return tuple(str(name) for name in taken)

    @guard()
    def waiting(self, messages: str) -> int:
        """How many messages wait in that Celery queue; each takes a thread that could take what is due."""
        return int(self._client.llen(messages))
