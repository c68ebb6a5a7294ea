"""The same transport where Sentinels say which server is the primary: asked whenever a connection is opened."""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES

from worker.adapters.redis.sentinels import PrimaryConnection, PrimarySSLConnection, primary_of
from worker.service.transport import Channel, Transport
from worker.settings.redis_url import RedisAddress

SENTINEL_ALIAS = "rotator-sentinel"
"""What Celery knows this transport by."""

TRANSPORT_ALIASES[SENTINEL_ALIAS] = f"{__name__}:SentinelTransport"


class SentinelChannel(Channel):
    """Reads one queue of the primary.

    kombu's own goes back to a server that is gone, as redis-py does (:mod:`worker.adapters.redis.sentinels`).
    """

    connection_class = PrimaryConnection
    connection_class_ssl = PrimarySSLConnection
    from_transport_options = (*Channel.from_transport_options, "address")
    address: RedisAddress

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - as kombu has it
        return {**super()._connparams(asynchronous=asynchronous), "primary": primary_of(self.address)}


class SentinelTransport(Transport):
    """See the module's docstring."""

    Channel = SentinelChannel
