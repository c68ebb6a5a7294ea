"""HTTP/1.1 calls with a deadline as a whole, on kept connections, for any number of threads.

What comes back is read by :mod:`worker.adapters.http.reading`, on the sockets of :mod:`worker.adapters.http.streams`. A
connection is taken by one call at a time; those that no call uses are kept in a deque for each server, which needs no
lock.
"""

from __future__ import annotations

import re
import ssl
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTP_PORT, HTTPS_PORT
from typing import Self

from worker import __version__
from worker.adapters.http.reading import Reading, Unreadable
from worker.adapters.http.streams import DeadlineSocket, connect

USER_AGENT = f"hostup-rotator/{__version__}"

MAX_BODY = 4 * 1024 * 1024
"""Bytes. The largest honest answer is a Vault document (1 MiB at most, vault.md)."""

IDLE_SECONDS = 2.0
"""How long an idle connection is kept. Short: a call fails on a kept one that the server closes just then."""

_HEAD = re.compile(rb"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*\r\n)*\r\n")
"""RFC 9112, 2.1 and 3; RFC 9110, 5.5 and 5.6.2."""


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
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
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
        """Send a request :func:`worker.adapters.http.streams.within` some time and read its answer.

        ``fresh`` asks for a connection of its own, which is not kept. Raises NoAnswer.
        """
        connection = (None if fresh else self._take(request.server)) or self._new(request.server)
        keep = False
        try:
            answer, keep = _exchange(connection.sock, request)
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
        return _Connection(sock)

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
        kept.append(_Connection(connection.sock, now))
        with suppress(IndexError):  # other threads take from it, too
            while kept[0].since < now - IDLE_SECONDS:
                kept.popleft().sock.end()


@dataclass(frozen=True, slots=True)
class _Connection:
    sock: DeadlineSocket
    since: float = 0.0


def _exchange(sock: DeadlineSocket, request: Request) -> tuple[Answer, bool]:
    """One request and its answer, and whether the connection may be used again. Raises NoAnswer."""
    message = _head(request) + request.body
    reading = Reading(MAX_BODY)
    try:
        sock.send(message)
        while not reading.complete:
            reading.take(sock.receive())
    except TimeoutError:
        raise NoAnswer("there was no whole answer in time", sent=True, timed_out=True) from None
    except OSError:
        raise NoAnswer("the connection was lost", sent=True) from None
    except Unreadable as error:
        raise NoAnswer(str(error), sent=True) from None
    finally:
        reading.end()
    return Answer(reading.status, reading.headers, bytes(reading.body)), reading.keep


def _head(request: Request) -> bytes:
    """What stands before the body. Raises NoAnswer for what could be read as something else than it was meant as."""
    first = f"{request.method} {request.target} HTTP/1.1"
    try:
        lines = [_octets(first), *(b"%b: %b" % (_octets(name), _octets(value)) for name, value in request.headers)]
    except UnicodeEncodeError:
        lines = []
    head = b"\r\n".join((*lines, b"", b""))
    # a line break inside a header would make more lines of it
    if not _HEAD.fullmatch(head) or head.count(b"\r\n") != len(request.headers) + 2:
        raise NoAnswer("the request holds characters that HTTP does not allow", sent=False)
    return head


def _octets(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def _public_authorities() -> ssl.SSLContext:
    from httpx import create_ssl_context  # noqa: PLC0415 - of all that is here only this needs httpx, slow to load

    return create_ssl_context()


def _speaking_http(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    return context
