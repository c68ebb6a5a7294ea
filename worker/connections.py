"""HTTP/1.1 calls with a deadline as a whole, on kept connections, for any number of threads.

The standard library's :mod:`http.client` does the talking, on the sockets of :mod:`worker.streams`. A rotation is ten
calls, and when this took the place of httpcore and h11 its CPU fell by a quarter. A connection is taken by one call at
a time; those that no call uses are kept in a deque for each server, which needs no lock.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http import HTTPStatus
from http.client import HTTP_PORT, HTTPS_PORT, HTTPConnection, HTTPException, HTTPResponse
from typing import Self

from worker import __version__
from worker.streams import DeadlineSocket, connect

USER_AGENT = f"hostup-rotator/{__version__}"

MAX_BODY = 4 * 1024 * 1024
"""Bytes. The largest honest answer is a Vault document (1 MiB at most, vault.md)."""

IDLE_SECONDS = 2.0
"""How long an idle connection is kept. Short: a call fails on a kept one that the server closes just then."""


class NoAnswer(Exception):
    """A call without a whole answer. ``sent`` is False when the server cannot have seen anything of the request.

    The text never quotes what was sent or heard.
    """

    def __init__(self, reason: str, *, sent: bool, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.sent = sent
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class Server:
    """Where calls go."""

    secure: bool
    host: str
    port: int

    @classmethod
    def at(cls, scheme: str, host: str, port: int | None) -> Self:
        """Where an address leads, of which the port may be left out."""
        secure = scheme == "https"
        return cls(secure, host, port or (HTTPS_PORT if secure else HTTP_PORT))


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. ``headers`` say everything, ``Host`` and ``Content-Length`` included."""

    server: Server
    method: str
    target: str
    headers: Sequence[tuple[bytes | str, bytes | str]] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the whole body, as it was sent."""

    status: int
    headers: Sequence[tuple[str, str]] = field(repr=False)
    body: bytes = field(repr=False)


class Connections:
    """Connections to any number of servers, for any number of threads.

    ``ca_file`` is trusted instead of the public authorities.
    Raises OSError or ssl.SSLError when ``ca_file`` cannot be loaded.
    """

    def __init__(self, *, ca_file: str | None = None) -> None:
        own = ssl.create_default_context(cafile=ca_file) if ca_file else None
        # at first use: loading all authorities takes 20 ms, and a service on this machine may do without
        self._trust = cache(lambda: _speaking_http(own or _public_authorities()))
        self._idle: dict[Server, deque[_Connection]] = {}

    def ask(self, request: Request, *, fresh: bool = False) -> Answer:
        """Send a request :func:`worker.streams.within` some time and read its answer.

        ``fresh`` asks for a connection of its own, which is not kept. Raises NoAnswer.
        """
        connection = (None if fresh else self._take(request.server)) or self._new(request.server)
        keep = False
        try:
            answer, keep = _exchange(connection, request)
        finally:
            if keep and not fresh:
                self._keep(request.server, connection)
            else:
                connection.sock.end()
        return answer

    def close(self) -> None:
        """Close every connection that no call uses."""
        for idle in tuple(self._idle.values()):
            with suppress(IndexError):
                while True:
                    idle.pop().sock.end()

    def _new(self, server: Server) -> _Connection:
        try:
            sock = connect(server.host, server.port, self._trust() if server.secure else None)
        except TimeoutError:
            raise NoAnswer("no connection could be made in time", sent=False, timed_out=True) from None
        except OSError as error:
            raise NoAnswer(f"no connection could be made: {type(error).__name__}", sent=False) from None
        http = HTTPConnection(server.host, server.port)
        http.sock = sock  # as much of a socket as it needs
        http.auto_open = 0
        http.response_class = _FinalResponse
        return _Connection(http, sock)

    def _take(self, server: Server) -> _Connection | None:
        """The connection that was used last, as it is the freshest; none that is too old, or closed by the server."""
        kept = self._idle.setdefault(server, deque())
        with suppress(IndexError):  # there is none, or another thread was quicker
            while True:
                connection = kept.pop()
                if connection.since > time.monotonic() - IDLE_SECONDS and not connection.sock.is_readable():
                    return connection
                connection.sock.end()
        return None

    def _keep(self, server: Server, connection: _Connection) -> None:
        kept, now = self._idle.setdefault(server, deque()), time.monotonic()
        kept.append(_Connection(connection.http, connection.sock, now))
        with suppress(IndexError):  # other threads take from it, too
            while kept[0].since < now - IDLE_SECONDS:
                kept.popleft().sock.end()


@dataclass(frozen=True, slots=True)
class _Connection:
    http: HTTPConnection
    sock: DeadlineSocket
    since: float = 0.0


class _FinalResponse(HTTPResponse):
    """Passes over what may come before the answer: http.client knows 100 only (RFC 9110, 15.2)."""

    def begin(self) -> None:
        super().begin()
        while self.status < HTTPStatus.OK and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = self.msg = None  # type: ignore[assignment]  # which is what lets it begin again
            super().begin()


def _exchange(connection: _Connection, request: Request) -> tuple[Answer, bool]:
    """One request and its answer, and whether the connection may be used again. Raises NoAnswer."""
    http = connection.http
    try:
        http.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            http.putheader(name, value)
        http.endheaders(request.body)
    except (ValueError, HTTPException):
        raise NoAnswer("the request holds characters that HTTP does not allow", sent=False) from None
    try:
        with http.getresponse() as response:
            cut = connection.sock.ended  # in the head: http.client takes what came for the whole
            body = response.read(MAX_BODY + 1)
            cut |= bool(response.length)  # which counts down, where the answer told its length
            keep = not response.will_close and response.status >= HTTPStatus.OK
            answer = Answer(response.status, response.getheaders(), body)
    except TimeoutError:
        raise NoAnswer("there was no whole answer in time", sent=True, timed_out=True) from None
    except (OSError, HTTPException):
        raise NoAnswer("the connection was lost, or what came is no HTTP", sent=True) from None
    if len(body) > MAX_BODY:
        raise NoAnswer(f"the answer is longer than {MAX_BODY} bytes", sent=True)
    if cut:
        raise NoAnswer("the connection was lost before the answer was whole", sent=True)
    return answer, keep


def _public_authorities() -> ssl.SSLContext:
    from httpx import create_ssl_context  # noqa: PLC0415 - of all that is here only this needs httpx, slow to load

    return create_ssl_context()


def _speaking_http(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    return context
