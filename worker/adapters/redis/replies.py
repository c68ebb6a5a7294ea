"""Replies of Redis are read up to a length: it takes values of 512 MiB, and a worker has no memory for such."""

from __future__ import annotations

from typing import Any

from redis.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError

LONGEST_REPLY = 8 * 1024 * 1024
"""Bytes. What one call asks for is less, as long as nothing lies there that is longer than what a worker writes."""


class ReplyTooLong(RedisConnectionError):
    """A reply was longer than all that can be meant for us; the connection is given up with it."""


class BoundedParser(DefaultParser):  # type: ignore[misc, valid-type]  # one of two, as hiredis is there or not
    """Reads each reply up to a length, however many parts it has."""

    longest = LONGEST_REPLY
    _read = 0

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read a reply."""
        self._read = 0
        return super().read_response(*args, **options)

    def read_from_socket(self, *args: Any, **options: Any) -> Any:
        """Read some more."""
        before = self._reader.len() if self._reader is not None else 0
        more = super().read_from_socket(*args, **options)
        if self._reader is not None:
            self._read += self._reader.len() - before
            if self._read > self.longest:
                raise ReplyTooLong("a reply is too long")
        return more
