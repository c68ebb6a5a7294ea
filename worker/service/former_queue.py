"""Messages for us on the queue that earlier releases had, and that apps may still send to: Celery's own default.

Another app may have its messages there, so no worker reads it: what is ours is picked out, and moved to our queue in
one step; all else is left as it lies.
"""

from __future__ import annotations

import redis
import structlog
from redis.exceptions import ResponseError

from worker.adapters.redis.client import guard
from worker.events import Event
from worker.service.message import LONGEST_ITEM, Refused, read

FORMER_QUEUE = "celery"

LOOKED_AT = 100
"""So many of the oldest messages there, and of the newest, are looked at in each tick."""

LONGEST_IN_ALL = 4 * 1024 * 1024
"""Bytes of them, of which the rest waits for the next tick."""

_OURS = '"rotator.'

_FIND = """
if redis.call('TYPE', KEYS[1]).ok ~= 'list' then return {} end
local found, room = {}, tonumber(ARGV[4])
local function look(items)
  for _, item in ipairs(items) do
    local short, ours = #item <= math.min(room, tonumber(ARGV[2])), string.find(item, ARGV[3], 1, true)
    if short and ours and not string.find(item, '[\\128-\\255]') then
      found[#found + 1] = item
      room = room - #item
    end
  end
end
local most, length = tonumber(ARGV[1]), redis.call('LLEN', KEYS[1])
look(redis.call('LRANGE', KEYS[1], -most, -1))
if length > most then look(redis.call('LRANGE', KEYS[1], 0, math.min(most, length - most) - 1)) end
return found
"""
"""What may be ours of the oldest and the newest items: short, and the ASCII that Celery's JSON is."""

_TAKE = """
local kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'list' and kind ~= 'none' then return 0 end
local taken = redis.call('LREM', KEYS[1], -1, ARGV[1])
if taken > 0 and ARGV[2] ~= '' then redis.call('LPUSH', KEYS[2], ARGV[2]) end
return taken
"""

_log = structlog.get_logger(__name__)


class FormerQueue:
    """The queue that was; nothing is done where ours has that name, or where Redis forbids to look at it."""

    def __init__(self, client: redis.Redis, queue: str) -> None:
        self._client = client
        self._queue = queue
        self._find = client.register_script(_FIND)
        self._take = client.register_script(_TAKE)

    @guard()
    def move(self) -> None:
        """Move requests for rotations to our queue; other tasks of ours there are hints of old, and dropped.

        Raises QueueUnavailable.
        """
        if self._queue == FORMER_QUEUE:
            return
        try:
            found = self._find(keys=[FORMER_QUEUE], args=[LOOKED_AT, LONGEST_ITEM, _OURS, LONGEST_IN_ALL])
            for item in found:
                self._move(str(item))
        except ResponseError:
            return  # a user of few rights has no app that sends there

    def _move(self, item: str) -> None:
        try:
            message = read(item.encode())
        except Refused:
            return  # it may be another app's
        wanted = message.task == "rotator.rotate"
        moved = message.encode(self._queue).decode() if wanted else ""
        if self._take(keys=[FORMER_QUEUE, self._queue], args=[item, moved]) and wanted:
            hint = f'Have that app send with queue="{self._queue}", as docs/apps.md shows.'
            _log.warning(Event.TASK_MOVED, task=message.task, task_id=message.id, queue=FORMER_QUEUE, hint=hint)
