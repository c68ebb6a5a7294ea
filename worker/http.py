"""One HTTP call with a deadline for the call as a whole.

httpx's time-outs are per read, so a server that drips one byte a second is never too slow for them. Here every read
and write of the socket gets only what is left until the call's deadline: :class:`_DeadlineBackend` is a network
backend of httpcore (its public extension point), :class:`DeadlineTransport` brings it to httpx.

What holds for every call: TLS verified, no redirects, no cookies, no proxies or credentials taken from the
environment, and at most :data:`MAX_BODY` bytes of answer read.
"""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from worker import __version__

USER_AGENT = f"hostup-rotator/{__version__}"
MAX_BODY = 4 * 1024 * 1024
"""Bytes. The largest honest answer is a Vault document (1 MiB at most, vault.md)."""

IDLE_SECONDS = 2.0
"""How long an idle connection is kept. Short: a call fails on a kept one that the server closes just then."""

_UNREAD = (b"location", b"set-cookie")
"""Headers of an answer that httpx would act on before we see it: it builds the redirected request even with redirects
off, and fails with errors outside its own tree on an address such as ``mailto:x``; and it sends cookies back."""

_AT_ONCE = 0.002
"""Seconds that a read may take once the deadline is over: enough for what is there, too little to wait for more."""

_FRESH = "hostup_rotator_fresh"
"""How :func:`call` tells the transport that a request wants a connection of its own: a name in its extensions."""

_deadline: ContextVar[float] = ContextVar("deadline")


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer read to its end: status, headers (any case), body."""

    status: int
    headers: httpx.Headers
    body: bytes


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine; plain http is accepted for such hosts only."""
    host = httpx.URL(url).host
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_client(*, ca_file: str | None = None, connections: int = 100) -> httpx.Client:
    """Make the one shared client of a service. ``ca_file`` is trusted instead of the system's authorities.

    Raises OSError or ssl.SSLError when ``ca_file`` cannot be loaded.
    """
    context = ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()
    transport = DeadlineTransport(kept=_pool(context, connections, connections), fresh=_pool(context, connections, 0))
    return httpx.Client(
        transport=transport,
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(None),  # the deadline of call() rules, see above
    )


def _pool(context: ssl.SSLContext, connections: int, kept: int) -> httpcore.ConnectionPool:
    return httpcore.ConnectionPool(
        ssl_context=context,
        max_connections=connections,
        max_keepalive_connections=kept,
        keepalive_expiry=IDLE_SECONDS,
        network_backend=_DeadlineBackend(),
    )


def call(client: httpx.Client, request: httpx.Request, *, deadline: float, fresh: bool = False) -> Reply:
    """Send one request and read the whole answer within ``deadline`` seconds.

    ``fresh`` asks for a connection of its own: on a kept one that the server closes just then, the fate of the call
    would be unknown. For calls that must not be repeated.

    Raises httpx.ConnectError, httpx.ConnectTimeout or httpx.PoolTimeout when nothing was sent, and any other
    httpx.TransportError when the request may have arrived.
    """
    request.extensions[_FRESH] = fresh
    with _within(deadline):
        response = client.send(request, stream=True)
        try:
            return Reply(response.status_code, response.headers, _read(response))
        finally:
            response.close()


def nothing_was_sent(error: httpx.TransportError) -> bool:
    """Whether this failure proves that the server never saw the request."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol)


def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    try:
        for chunk in response.iter_bytes():
            body += chunk
            if len(body) > MAX_BODY:
                message = f"the answer is longer than {MAX_BODY} bytes"
                raise httpx.ReadError(message)
    except httpx.DecodingError:
        # a content-encoding that does not fit its body; the text may hold what was read
        message = "the answer's encoding cannot be read"
        raise httpx.ReadError(message) from None
    return bytes(body)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    token = _deadline.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def _left() -> float:
    return _deadline.get() - time.monotonic()


class _DeadlineStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - httpcore's signature
        # past the deadline still take what has arrived already: a process that was frozen in the middle of a create
        # must not throw away the answer that waits in its socket
        return self._stream.read(max_bytes, max(_left(), _AT_ONCE))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002 - httpcore's signature
        left = _left()
        if left <= 0:
            raise httpcore.WriteTimeout
        self._stream.write(buffer, left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - httpcore's signature
    ) -> httpcore.NetworkStream:
        left = _left()
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
        left = _left()
        if left <= 0:
            raise httpcore.ConnectTimeout
        return _DeadlineStream(self._backend.connect_tcp(host, port, left, local_address, socket_options))


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._response.iter_stream()

    def close(self) -> None:
        with _as_httpx():
            self._response.close()


class DeadlineTransport(httpx.BaseTransport):
    """httpx on two pools of httpcore's whose sockets obey the deadline of :func:`call`; one of them keeps none."""

    def __init__(self, *, kept: httpcore.ConnectionPool, fresh: httpcore.ConnectionPool) -> None:
        self._kept = kept
        self._fresh = fresh

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raises httpx.TransportError."""
        url = request.url
        lower = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
        )
        pool = self._fresh if request.extensions.get(_FRESH) else self._kept
        with _as_httpx():
            response = pool.handle_request(lower)
        headers = [(name, value) for name, value in response.headers if name.lower() not in _UNREAD]
        return httpx.Response(response.status, headers=headers, stream=_Body(response))

    def close(self) -> None:
        """Close every connection."""
        self._kept.close()
        self._fresh.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Turn httpcore's errors into httpx's of the same name; the texts stay out, they may quote an answer."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
        raise getattr(httpx, type(error).__name__)(type(error).__name__) from None
    except httpcore.UnsupportedProtocol:
        message = "the address is neither http nor https"
        raise httpx.UnsupportedProtocol(message) from None
