"""Requests for a rotation on their way from a message to the record in Vault."""

from __future__ import annotations

import json
from itertools import islice

import redis

from worker.adapters.redis.client import guard, raw
from worker.adapters.redis.keys import REQUESTS
from worker.adapters.redis.reading import StoredRequest, checked
from worker.adapters.redis.repair import tell

MOST = 1_000
"""So many are handed out at a time; more than that is no crowd of people."""

PAGE = 500
"""So many are read by one call."""

LONGEST_ID = 64
"""Celery's ids have 36 characters."""


class PendingRequests:
    """Requests that are not on record yet, by id. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @guard()
    def keep(self, request: str, content: StoredRequest) -> None:
        """Keep a request until it is on record, so that it is not lost with the worker that read its message.

        What is not said is left out, so that workers of the release before read it, too.
        """
        self._client.hset(REQUESTS, request, json.dumps(content.model_dump(exclude_defaults=True)))

    @guard()
    def drop(self, request: str) -> None:
        """A request is on record, or was refused."""
        self._client.hdel(REQUESTS, request)

    @guard()
    def all(self) -> dict[str, StoredRequest]:
        """The requests that are not on record yet, at most :data:`MOST`; what has no form of ours is dropped."""
        found: dict[str, StoredRequest] = {}
        malformed = []
        for request, text in islice(self._client.hscan_iter(REQUESTS, count=PAGE), MOST):
            content = checked(StoredRequest, text)
            if content and len(request) <= LONGEST_ID and request.isascii() and request.isprintable():
                found[str(request)] = content
            else:
                malformed.append(request)
        if malformed:
            self._client.hdel(REQUESTS, *map(raw, malformed))
            tell(REQUESTS, "entries of another form than a request's", dropped=len(malformed))
        return found
