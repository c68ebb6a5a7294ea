"""The connection to Redis, and its errors as one of ours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

import redis
from redis.backoff import ExponentialBackoff
from redis.credentials import CredentialProvider
from redis.retry import Retry

from worker.adapters.redis.errors import unavailable
from worker.adapters.redis.replies import BoundedParser
from worker.adapters.redis.sentinels import pool_of
from worker.secret import Secret
from worker.settings.redis_url import read_redis_url

BATCH = 500
"""How many targets one call is about at most: a call for all 100,000 would hold up the other workers."""

TIMEOUT_SECONDS = 5.0
"""A server that is frozen, or cut off, is given up after this; a command is tried twice, and so is each connecting."""

T = TypeVar("T")


def connect(
    url: Secret, *, login: CredentialProvider | None = None, timeout: float = TIMEOUT_SECONDS, retries: int = 1
) -> redis.Redis:
    """A client that notices dead connections (docs/facts.md, "Celery on Redis"); connects at first use.

    ``login`` is asked for user and password instead of the address, for each connection. ``timeout`` in seconds, of one
    try; ``retries`` are for a connection that died while nobody used it.
    """
    address = read_redis_url(url)
    told = {
        **(address.without_login() if login else address).for_redis(),
        "credential_provider": login,
        "decode_responses": True,
        # what is no UTF-8 was not written by us: it comes back as it is, so that it can be named and dropped
        "encoding_errors": "surrogateescape",
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "health_check_interval": 5,
        "retry": Retry(ExponentialBackoff(cap=0.2, base=0.01), retries),
        # a server that has become a replica takes no more writes: another may be behind the name by now
        "retry_on_error": [redis.ReadOnlyError],
    }
    client = redis.Redis.from_pool(pool_of(address, told)) if address.sentinels else redis.Redis(**told)
    client.connection_pool.connection_kwargs["parser_class"] = BoundedParser
    return client


@contextmanager
def guard() -> Iterator[None]:
    """Turn every error of Redis into QueueUnavailable, which says why (:mod:`worker.adapters.redis.errors`)."""
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise unavailable(error) from None


def raw(text: str) -> bytes:
    """What was read of Redis, as it lies there: redis-py itself sends nothing that is no UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def is_cluster(facts: Mapping[str, Any]) -> bool:
    """Whether a server is one of a cluster, by its INFO."""
    return facts.get("redis_mode") == "cluster" or facts.get("cluster_enabled") == 1


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in groups of at most :data:`BATCH`."""
    rest = iter(items)
    while batch := list(islice(rest, BATCH)):
        yield batch
