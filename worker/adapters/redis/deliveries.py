"""Which reports of leaks were dealt with already, over all workers, and how many a target has had within an hour."""

from __future__ import annotations

from datetime import datetime, timedelta

import redis

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import delivery, leaks
from worker.adapters.redis.reading import seconds

KEPT = timedelta(hours=1)
"""How long a report is remembered: six times as long as its signature holds, wherever in its time it came."""

HOUR = timedelta(hours=1)

_ALLOW = """
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then redis.call('DEL', KEYS[1]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[2] - ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. (ARGV[2] + ARGV[4]), '+inf')
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return false end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[3]) then
  return redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
end
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[4])
return false
"""
"""Count a report once; where there are too many, answers when the first of them was."""


class Deliveries:
    """Reports by a mark of each. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._allow = client.register_script(_ALLOW)

    @guard()
    def is_done(self, mark: str) -> bool:
        """Whether this report was dealt with."""
        return bool(self._client.exists(delivery(mark)))

    @guard()
    def done(self, mark: str) -> None:
        """This report is dealt with: what it asks for is on record."""
        self._client.set(delivery(mark), "1", ex=KEPT)

    @guard()
    def too_many_until(self, target: str, mark: str, now: datetime, per_hour: int) -> datetime | None:
        """Count a report against a target, once however often it comes; None where it may go on."""
        first = self._allow(keys=[leaks(target)], args=[mark, now.timestamp(), per_hour, int(HOUR.total_seconds())])
        began = seconds(first)
        return began + HOUR if began else None
