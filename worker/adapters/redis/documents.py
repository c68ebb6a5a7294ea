"""The documents in a hash, as many by one call as may be read at once. What is too long to be ours is left there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import redis

from worker.adapters.redis.client import BATCH
from worker.adapters.redis.reading import LONGEST_DOCUMENT
from worker.adapters.redis.replies import LONGEST_REPLY

PAGE = 64
"""How many are read by one call that asks for no names: if each is as long as it may be, the reply is still read."""

_READ = """
local found, longest, room = {}, tonumber(ARGV[1]), tonumber(ARGV[2])
for _, lying in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV, 3))) do
  local text = lying or ''
  if #text > longest then text = '' end
  room = room - #text
  if room < 0 then break end
  found[#found + 1] = text
end
return found
"""


class Documents:
    """Documents by the names of targets. The methods raise errors of Redis."""

    def __init__(self, client: redis.Redis, key: str) -> None:
        self._client = client
        self._key = key
        self._read = client.register_script(_READ)

    def of(self, names: Iterable[str]) -> Iterator[tuple[str, str]]:
        """What lies there for each of these names; empty where nothing of ours does. A call for each batch."""
        left = list(names)
        while left:
            batch = left[:BATCH]
            found = self._read(keys=[self._key], args=[LONGEST_DOCUMENT, LONGEST_REPLY // 2, *batch])
            yield from zip(batch, map(str, found), strict=False)  # the rest had no room in this reply
            left = left[len(found) :]

    def all(self) -> Iterator[tuple[str, str]]:
        """All that lies there, by names that may be anything."""
        for name, text in self._client.hscan_iter(self._key, count=PAGE):
            yield str(name), str(text)
