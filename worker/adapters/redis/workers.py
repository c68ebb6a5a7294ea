"""Which workers are there."""

from __future__ import annotations

from datetime import datetime

import redis

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import WORKERS

HEARTBEAT_SECONDS = 60.0
"""A worker whose last heartbeat is older is taken to be gone."""


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
