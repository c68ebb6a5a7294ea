"""Which workers are there, by Redis' own clock: those of two machines may be minutes apart."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import redis

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import WORKERS

HEARTBEAT_SECONDS = 60.0
"""A worker whose last heartbeat is older is taken to be gone, and no longer counted on."""

SILENT_SECONDS = 15.0
"""A worker that is there shows it every 5 s, and only a little later when its machine is busy."""

MOST_WORKERS = 200
"""More are not counted: each counts for as many messages as it has threads."""

LONGEST_NAME = 300
_YEAR = timedelta(days=366).total_seconds()

_BEAT = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
redis.call('ZADD', KEYS[1], string.format('%.6f', now), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.6f', now), '+inf')
"""
"""Show that a worker is there, and drop those that are gone or that will only have been there some day."""


class Heartbeats:
    """The workers' signs of life. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._beat = client.register_script(_BEAT)

    @guard()
    def beat(self, worker: str) -> None:
        """A worker shows that it is there."""
        self._beat(keys=[WORKERS], args=[worker, HEARTBEAT_SECONDS])

    @guard()
    def leave(self, worker: str) -> None:
        """A worker ends."""
        self._client.zrem(WORKERS, worker)

    @guard()
    def ages(self) -> Mapping[str, timedelta]:
        """How long ago each worker showed itself, the newest first; also the last one after it was killed."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zrevrangebyscore(WORKERS, "+inf", "-inf", start=0, num=2 * MOST_WORKERS, withscores=True)
            (seconds, micros), found = pipe.execute()
        now = seconds + micros / 1_000_000
        ages = {str(name): now - float(at) for name, at in found}
        # one that will show itself some day was not written by a worker
        return {name: timedelta(seconds=age) for name, age in ages.items() if _may_be(name) and 0 <= age < _YEAR}

    def workers(self, within: float = HEARTBEAT_SECONDS) -> tuple[str, ...]:
        """The workers that have shown themselves within so many seconds, at most :data:`MOST_WORKERS`."""
        longest = timedelta(seconds=within)
        return tuple(sorted(name for name, age in self.ages().items() if age <= longest)[:MOST_WORKERS])


def _may_be(name: str) -> bool:
    return len(name) <= LONGEST_NAME and name.isascii() and name.isprintable()
