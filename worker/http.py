"""httpx on :mod:`worker.connections`, where a call has a deadline as a whole.

What holds for every call: TLS verified, no redirects, no cookies, no proxies or credentials taken from the
environment, and at most :data:`MAX_BODY` bytes of answer read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpcore
import httpx

from worker.connections import FAILURES, MAX_BODY, USER_AGENT, Connections, Exchange, within

_UNREAD = (b"location", b"set-cookie")
"""Headers of an answer that httpx would act on before we see it: it builds the redirected request even with redirects
off, and fails with errors outside its own tree on an address such as ``mailto:x``; and it sends cookies back."""

_FRESH = "hostup_rotator_fresh"
"""How :func:`call` tells the transport that a request wants a connection of its own: a name in its extensions."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer read to its end: status, headers (any case), body."""

    status: int
    headers: httpx.Headers
    body: bytes


def new_client(*, ca_file: str | None = None) -> httpx.Client:
    """Make the one shared client of a service. ``ca_file`` is trusted instead of the public authorities.

    Raises OSError or ssl.SSLError when ``ca_file`` cannot be loaded.
    """
    return httpx.Client(
        transport=_Transport(Connections(ca_file=ca_file)),
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
        follow_redirects=False,
        trust_env=False,
        timeout=httpx.Timeout(None),  # the deadline of call() rules, see above
    )


def call(client: httpx.Client, request: httpx.Request, *, deadline: float, fresh: bool = False) -> Reply:
    """Send one request and read the whole answer within ``deadline`` seconds.

    ``fresh`` asks for a connection of its own: on a kept one that the server closes just then, the fate of the call
    would be unknown. For calls that must not be repeated.

    Raises httpx.ConnectError, httpx.ConnectTimeout or httpx.PoolTimeout when nothing was sent, and any other
    httpx.TransportError when the request may have arrived.
    """
    request.extensions[_FRESH] = fresh
    with within(deadline):
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


class _Body(httpx.SyncByteStream):
    def __init__(self, sent: Exchange) -> None:
        self._sent = sent

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._sent.response.iter_stream()

    def close(self) -> None:
        with _as_httpx():
            self._sent.close()


class _Transport(httpx.BaseTransport):
    """httpx's door to our connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raises httpx.TransportError."""
        url = request.url
        lower = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
        )
        with _as_httpx():
            sent = self._connections.open(lower, fresh=bool(request.extensions.get(_FRESH)))
        headers = [(name, value) for name, value in sent.response.headers if name.lower() not in _UNREAD]
        return httpx.Response(sent.response.status, headers=headers, stream=_Body(sent))

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Turn httpcore's errors into httpx's of the same name; the texts stay out, they may quote an answer."""
    try:
        yield
    except FAILURES as error:
        raise getattr(httpx, type(error).__name__)(type(error).__name__) from None
    except httpcore.UnsupportedProtocol:
        message = "the address is neither http nor https"
        raise httpx.UnsupportedProtocol(message) from None
