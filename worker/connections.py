"""Connections of httpcore's on which a call as a whole has a deadline.

Time-outs of libraries are for each read, so a server that drips one byte a second is never too slow for them. Here
every read and write of the socket gets only what is left until the call's deadline: :class:`_DeadlineBackend` is a
network backend, httpcore's public extension point.

:class:`Connections` keeps ``httpcore.HTTPConnection`` objects itself, one for each call under way. Its pool
looks through all of its connections, under a lock, at both ends of each call; on as many threads as a worker has, that
alone costs more than a call (`make bench`).
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import httpcore

from worker import __version__

USER_AGENT = f"hostup-rotator/{__version__}"

MAX_BODY = 4 * 1024 * 1024
"""Bytes. The largest honest answer is a Vault document (1 MiB at most, vault.md)."""

IDLE_SECONDS = 2.0
"""How long an idle connection is kept. Short: a call fails on a kept one that the server closes just then."""

FAILURES = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError)
"""What a call may raise. Their texts may quote an answer."""

NOTHING_SENT = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout)
"""Failures that prove that the server never saw the request."""

_AT_ONCE = 0.002
"""Seconds that a read may take once the deadline is over: enough for what is there, too little to wait for more."""

_deadline: ContextVar[float] = ContextVar("deadline")

_Origin = tuple[bytes, bytes, int | None]


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give everything that is sent and read in here so many seconds together."""
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def seconds_left() -> float:
    """What is left of the time that :func:`within` gave; negative once it is over."""
    return _deadline.get() - time.monotonic()


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request that was sent, and its answer, of which the body is still to be read. ``close`` it in any case."""

    response: httpcore.Response
    close: Callable[[], None]


class Connections:
    """Connections to any number of servers, for any number of threads.

    ``ca_file`` is trusted instead of the public authorities.
    Raises OSError or ssl.SSLError when ``ca_file`` cannot be loaded.
    """

    def __init__(self, *, ca_file: str | None = None) -> None:
        own = ssl.create_default_context(cafile=ca_file) if ca_file else None
        # at first use: loading all authorities takes 20 ms, and a service on this machine may do without
        self._trust = cache(lambda: own or _public_authorities())
        self._idle: dict[_Origin, deque[tuple[float, httpcore.HTTPConnection]]] = {}

    def open(self, request: httpcore.Request, *, fresh: bool = False) -> Exchange:
        """Send a request :func:`within` some time and read the head of its answer.

        ``fresh`` asks for a connection of its own, which is not kept. Raises one of :data:`FAILURES`, or
        httpcore.UnsupportedProtocol for an address that is neither http nor https.
        """
        connection = (None if fresh else self._take(request.url)) or self._new(request.url)
        try:
            response = connection.handle_request(request)
        except BaseException:
            connection.close()
            raise
        return Exchange(response, partial(self._over, request.url, connection, response, fresh=fresh))

    def close(self) -> None:
        """Close every connection that no call uses."""
        for idle in tuple(self._idle.values()):
            with suppress(IndexError):
                while True:
                    idle.pop()[1].close()

    def _new(self, url: httpcore.URL) -> httpcore.HTTPConnection:
        if url.scheme not in (b"http", b"https"):
            raise httpcore.UnsupportedProtocol
        return httpcore.HTTPConnection(
            url.origin,
            ssl_context=self._trust() if url.scheme == b"https" else None,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=_DeadlineBackend(),
        )

    def _kept(self, url: httpcore.URL) -> deque[tuple[float, httpcore.HTTPConnection]]:
        return self._idle.setdefault((url.scheme, url.host, url.port), deque())

    def _take(self, url: httpcore.URL) -> httpcore.HTTPConnection | None:
        """The connection that was used last, as it is the freshest; none that is too old, or closed by the server."""
        kept = self._kept(url)
        with suppress(IndexError):  # there is none, or another thread was quicker
            while True:
                _, connection = kept.pop()
                if not connection.has_expired():
                    return connection
                connection.close()
        return None

    def _over(
        self, url: httpcore.URL, connection: httpcore.HTTPConnection, response: httpcore.Response, *, fresh: bool
    ) -> None:
        try:
            response.close()
        finally:
            if fresh or not connection.is_idle():  # not idle: the answer was not read to its end
                connection.close()
            else:
                self._keep(url, connection)

    def _keep(self, url: httpcore.URL, connection: httpcore.HTTPConnection) -> None:
        kept, now = self._kept(url), time.monotonic()
        kept.append((now, connection))
        with suppress(IndexError):  # other threads take from it, too
            while kept[0][0] < now - IDLE_SECONDS:
                kept.popleft()[1].close()


def exchange(connections: Connections, request: httpcore.Request) -> tuple[int, bytes]:
    """One call :func:`within` some time: status and body of the answer. Raises as :meth:`Connections.open`."""
    sent = connections.open(request)
    try:
        return sent.response.status, _read(sent.response)
    finally:
        sent.close()


def _read(response: httpcore.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise httpcore.ReadError
    return bytes(body)


def _public_authorities() -> ssl.SSLContext:
    from httpx import create_ssl_context  # noqa: PLC0415 - of all that is here only this needs httpx, slow to load

    return create_ssl_context()


class _DeadlineStream(httpcore.NetworkStream):
    """What is written is sent when the answer is asked for: head and body of a request in one packet, not in two."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._unsent = bytearray()

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - httpcore's signature
        if self._unsent:
            self._send()
        left = seconds_left()
        if left > _AT_ONCE:
            with suppress(httpcore.ReadTimeout):
                return self._stream.read(max_bytes, left)
        # past the deadline still take what has arrived already: a process that was frozen in the middle of a create
        # must not throw away the answer that waits in its socket. Also after a wait that timed out: a signal that comes
        # as the process goes on ends it without a look at the socket
        return self._stream.read(max_bytes, _AT_ONCE)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - httpcore's signature
        self._unsent += buffer

    def _send(self) -> None:
        left = seconds_left()
        if left <= 0:
            raise httpcore.WriteTimeout
        whole = bytes(self._unsent)
        self._unsent.clear()
        with suppress(httpcore.WriteError):  # a server may answer, and close, before it has read all
            self._stream.write(whole, left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - httpcore's signature
    ) -> httpcore.NetworkStream:
        left = seconds_left()
        if left <= 0:
            raise httpcore.ConnectTimeout
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _DeadlineBackend(httpcore.NetworkBackend):
    def __init__(self) -> None:
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = seconds_left()
        if left <= 0:
            raise httpcore.ConnectTimeout
        return _DeadlineStream(self._backend.connect_tcp(host, port, left, local_address, socket_options))
