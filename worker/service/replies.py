"""What Redis replies to kombu: no longer than it may be, looked at before kombu does, and what to say of its errors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import redis
from redis.exceptions import ResponseError

from worker.adapters.redis.errors import unavailable
from worker.adapters.redis.replies import BoundedParser
from worker.errors import QueueUnavailable
from worker.service.message import LONGEST_ITEM

LONGEST_REPLY = 8 * LONGEST_ITEM
"""Bytes. What is longer is not read to its end: Redis takes items of 512 MiB, and a worker has not so much memory."""


class Parser(BoundedParser):
    """Reads replies up to the length that kombu's may have."""

    longest = LONGEST_REPLY


Failed = Callable[[QueueUnavailable], None]
"""Is told of every trouble, and says each once: the process has one word for Redis, whoever meets it."""


def tell(error: ResponseError, failed: Failed | None) -> None:
    """Say that Redis replied with an error, unless it is one that is followed by another that says more."""
    if failed and not str(error).startswith(_PASSING):
        failed(unavailable(error))


_PASSING = "UNBLOCKED"
"""The word with which a server that becomes a replica lets go who waits."""


class Client(redis.Redis):
    """A client that has what BRPOP brings looked at before kombu does."""

    def __init__(self, *, look: Callable[[Callable[[], Any]], Any], **options: Any) -> None:
        super().__init__(**options)
        self._look = look

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        """Read a reply."""
        reply = functools.partial(super().parse_response, connection, command_name, **options)
        return self._look(reply) if command_name == "BRPOP" else reply()
