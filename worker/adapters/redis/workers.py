"""Which workers are there."""

from __future__ import annotations

from datetime import UTC, datetime

import redis

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import WORKERS

HEARTBEAT_SECONDS = 60.0
"""A worker whose last heartbeat is older is taken to be gone."""

SILENT_SECONDS = 15.0
"""A worker that is there shows it every 5 s, and only a little later when its machine is busy."""


class Heartbeats:
    """The workers' signs of life. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @guard()
    def beat(self, worker: str, now: datetime) -> None:
        """A worker shows that it is there."""
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zadd(WORKERS, {worker: now.timestamp()})
            pipe.zremrangebyscore(WORKERS, "-inf", now.timestamp() - HEARTBEAT_SECONDS)
            pipe.execute()

    @guard()
    def leave(self, worker: str) -> None:
        """A worker ends."""
        self._client.zrem(WORKERS, worker)

    @guard()
    def workers(self, now: datetime) -> tuple[str, ...]:
        """The workers that are there."""
        oldest = now.timestamp() - HEARTBEAT_SECONDS
        return tuple(str(name) for name in self._client.zrangebyscore(WORKERS, oldest, "+inf"))

    @guard()
    def newest(self) -> tuple[str, float] | None:
        """Which worker showed itself last, and when by its own clock (seconds since 1970); also one that is gone."""
        found = self._client.zrange(WORKERS, -1, -1, withscores=True)
        return (str(found[0][0]), float(found[0][1])) if found else None

    @guard()
    def last_seen(self) -> dict[str, datetime]:
        """When each worker showed itself last; also the last one after it was killed."""
        found = self._client.zrange(WORKERS, 0, -1, withscores=True)
        return {str(each[0]): datetime.fromtimestamp(float(each[1]), tz=UTC) for each in found}
