"""httpx on :mod:`worker.adapters.http.connections`, where a call has a deadline as a whole.

What holds for every call: TLS verified, no redirects, no cookies, no proxies or credentials taken from the
environment, and at most :data:`worker.adapters.http.connections.MAX_BODY` bytes of answer read.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from worker.adapters.http.connections import USER_AGENT, Connections, NoAnswer, Request, Server
from worker.adapters.http.streams import within

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

    Raises httpx.ConnectError, httpx.ConnectTimeout or httpx.UnsupportedProtocol when nothing was sent, and any other
    httpx.TransportError when the request may have arrived.
    """
    request.extensions[_FRESH] = fresh
    try:
        with within(deadline):
            response = client.send(request)
    except httpx.DecodingError:
        # a content-encoding that does not fit its body; the text may hold what was read
        message = "the answer's encoding cannot be read"
        raise httpx.ReadError(message) from None
    return Reply(response.status_code, response.headers, response.content)


def nothing_was_sent(error: httpx.TransportError) -> bool:
    """Whether this failure proves that the server never saw the request."""
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.UnsupportedProtocol)


class _Transport(httpx.BaseTransport):
    """httpx's door to our connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raises httpx.TransportError."""
        asked = Request(
            _server(request.url),
            request.method,
            request.url.raw_path.decode("ascii"),
            request.headers.raw,
            request.read(),
        )
        try:
            answer = self._connections.ask(asked, fresh=bool(request.extensions.get(_FRESH)))
        except NoAnswer as error:
            raise _as_httpx(error) from None
        headers = [(name, value) for name, value in answer.headers if name.lower() not in _UNREAD]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.body))

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()


def _server(url: httpx.URL) -> Server:
    if url.scheme not in ("http", "https"):
        message = "the address is neither http nor https"
        raise httpx.UnsupportedProtocol(message)
    return Server.at(url.scheme, url.raw_host.decode("ascii"), url.port)


def _as_httpx(error: NoAnswer) -> httpx.TransportError:
    if error.sent:
        return httpx.ReadTimeout(str(error)) if error.timed_out else httpx.ReadError(str(error))
    return httpx.ConnectTimeout(str(error)) if error.timed_out else httpx.ConnectError(str(error))
