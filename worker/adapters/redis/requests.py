"""Requests for a rotation on their way from a message to the record in Vault."""

from __future__ import annotations

import json
from collections.abc import Mapping

import redis

from worker.adapters.redis.client import guard
from worker.adapters.redis.keys import REQUESTS


class PendingRequests:
    """Requests that are not on record yet, by id. All methods raise QueueUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    @guard()
    def keep(self, request: str, content: Mapping[str, str]) -> None:
        """Keep a request until it is on record, so that it is not lost with the worker that read its message."""
        self._client.hset(REQUESTS, request, json.dumps(dict(content)))

    @guard()
    def drop(self, request: str) -> None:
        """A request is on record, or was refused."""
        self._client.hdel(REQUESTS, request)

    @guard()
    def all(self) -> dict[str, dict[str, str]]:
        """All requests that are not on record yet."""
        return {str(k): dict(json.loads(str(v))) for k, v in self._client.hgetall(REQUESTS).items()}
