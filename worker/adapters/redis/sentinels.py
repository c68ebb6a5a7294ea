"""Connections to the primary of a set, wherever its Sentinels say that it is: asked whenever a socket is opened.

redis-py's own connection for Sentinels asks only when it is taken fresh: one that broke, or timed out in the middle of
a command, goes back to the server that it had (seen with 8.1: every call to a frozen primary took half a minute).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import redis
import redis.sentinel
from redis.backoff import NoBackoff
from redis.retry import Retry

from worker.settings.redis_url import RedisAddress

SECONDS = 1.0
"""For one Sentinel to answer: while one is frozen, each new connection waits so long for it before it asks another."""

Primary = Callable[[], tuple[str, int]]
"""Where the primary is now. Raises MasterNotFoundError."""


class PrimaryConnection(redis.Connection):
    """A connection to where ``primary`` says, at each time that it is opened."""

    def __init__(self, *, primary: Primary, **options: Any) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call]  # it has no types
        self._primary = primary

    def _connect(self) -> Any:
        self.host, self.port = self._primary()
        return super()._connect()  # type: ignore[no-untyped-call]  # it has no types


class PrimarySSLConnection(redis.SSLConnection):
    """The same by TLS."""

    def __init__(self, *, primary: Primary, **options: Any) -> None:
        super().__init__(**options)
        self._primary = primary

    def _connect(self) -> Any:
        self.host, self.port = self._primary()
        return super()._connect()  # type: ignore[no-untyped-call]  # it has no types


def primary_of(address: RedisAddress) -> Primary:
    """What asks the Sentinels of this address; the first that answers is asked first from then on."""
    behind = address.sentinels
    if behind is None:
        raise ValueError("it is no address of Sentinels")
    untyped: Any = redis.sentinel  # most of it has no types
    manager = untyped.Sentinel(behind.places, sentinel_kwargs=_to_sentinels(address))
    return partial(manager.discover_master, behind.master)


def pool_of(address: RedisAddress, options: dict[str, Any]) -> redis.ConnectionPool:
    """Connections with these options of redis-py's to the primary."""
    told = {name: value for name, value in options.items() if name != "ssl"}
    kind = PrimarySSLConnection if address.tls else PrimaryConnection
    return redis.ConnectionPool(connection_class=kind, primary=primary_of(address), **told)


def each_sentinel(address: RedisAddress) -> Iterator[tuple[str, redis.Redis]]:
    """Every Sentinel, by its place, as a client of its own."""
    for host, port in address.sentinels.places if address.sentinels else ():
        yield f"{host}:{port}", redis.Redis(host=host, port=port, **_to_sentinels(address))


def _to_sentinels(address: RedisAddress) -> dict[str, Any]:
    """How they are spoken to: with their own login, and by TLS where Redis is."""
    behind = address.sentinels
    told = {name: value for name, value in address.for_redis().items() if name.startswith("ssl")}
    return {
        **told,
        "username": (behind.username if behind else "") or None,
        "password": (behind.password.reveal() if behind else "") or None,
        "socket_timeout": SECONDS,
        "socket_connect_timeout": SECONDS,
        "socket_keepalive": True,
        "decode_responses": True,
        # another is asked instead
        "retry": Retry(NoBackoff(), 0),
    }
