"""httpcore's network backend with a deadline for the call as a whole.

Time-outs of libraries are for each connect, read and write, so a server that drips one byte a second is never too slow
for them, and one with three silent addresses takes three times as long. Here each gets what is left until the deadline
of :func:`worker.adapters.http.deadline.within`; httpcore's own time-outs are not used.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpcore

from worker.adapters.http.deadline import seconds_left
from worker.adapters.http.exchange import current

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, for a port. Raises OSError, or ValueError for what is no host's name."""

_AT_ONCE = 64 * 1024
"""Bytes that are handed to the socket in one go, which may take no longer than what is left when it begins."""

_A_LOOK = 0.001
"""Seconds: the shortest time-out there is, for reading what is there already."""


def resolved(host: str, port: int) -> Sequence[str]:
    """Ask the system. It cannot be interrupted: the deadline is looked at when it has answered."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class DeadlineBackend(httpcore.NetworkBackend):
    """Connects within the deadline, of which each address of a host gets an equal share, with the handshake of TLS.

    One that failed comes last from then on, until it is all that is left and works: else each further connection would
    wait for it anew.
    """

    def __init__(self, resolve: Resolve = resolved) -> None:
        self._resolve = resolve
        self._failed: set[tuple[str, int]] = set()
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Raises httpcore.ConnectError or ConnectTimeout."""
        return self.connect_to(sorted(self._addresses(host, port), key=lambda each: (each, port) in self._failed), port)

    def connect_to(self, addresses: Sequence[str], port: int) -> DeadlineStream:
        """Connect to the first of these that takes it. Raises httpcore.ConnectError or ConnectTimeout."""
        for tried, address in enumerate(addresses):
            left = seconds_left()
            if left <= 0:
                raise httpcore.ConnectTimeout
            try:
                connection = self._sockets.connect_tcp(address, port, left / (len(addresses) - tried))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                self.note_failed(address, port)
                if tried == len(addresses) - 1:
                    raise
            else:
                self._failed.discard((address, port))
                return DeadlineStream(connection, way=_Way(self, address, port, addresses[tried + 1 :]))
        raise httpcore.ConnectError("the host has no address")

    def note_failed(self, address: str, port: int) -> None:
        """It did not connect, or did not speak TLS in its time."""
        self._failed.add((address, port))

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        try:
            return self._resolve(host, port)
        except (OSError, ValueError) as error:  # ValueError: a label is too long, or empty
            raise httpcore.ConnectError(error) from None


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a connection leads, and which addresses of the host have not been tried."""

    backend: DeadlineBackend
    address: str
    port: int
    others: Sequence[str]

    def ends_here(self, error: httpcore.ConnectError | httpcore.ConnectTimeout) -> bool:
        """Note that no TLS was spoken there; whether there is no use in another address: a bad certificate is told."""
        if isinstance(error.__cause__, ssl.SSLError):
            return True
        self.backend.note_failed(self.address, self.port)
        return not self.others


class DeadlineStream(httpcore.NetworkStream):
    """A connection; tells :func:`worker.adapters.http.exchange.current` what goes over it.

    The last byte of all that was read is handed over by itself, when it is asked for. So a response that is complete
    without it is followed by something that nobody asked for; the next request on this connection would get that as
    its response. Such a connection is not used again.
    """

    def __init__(self, inner: httpcore.NetworkStream, *, secure: bool = False, way: _Way | None = None) -> None:
        self._inner = inner
        self._way = way
        self._secure = secure
        self._held_back = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what there is, at least a byte; nothing at the end. Raises httpcore.ReadTimeout or ReadError."""
        del timeout
        if self._held_back:
            data, self._held_back = self._held_back, b""
            return data
        data = self._read(max_bytes)
        current().receives(data)
        if len(data) > 1:
            data, self._held_back = data[:-1], data[-1:]
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of it. Raises httpcore.WriteTimeout or WriteError.

        Raises httpcore.ConnectionNotAvailable, for which httpcore's pool takes another connection, see the class.
        """
        del timeout
        self._way = None  # what was sent is not sent again elsewhere
        if self._held_back:
            raise httpcore.ConnectionNotAvailable
        for start in range(0, len(buffer), _AT_ONCE):
            left = seconds_left()
            if left <= 0:
                raise httpcore.WriteTimeout
            current().sends()
            self._inner.write(buffer[start : start + _AT_ONCE], left)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Speak TLS from now on; at another address of the host where this one does not answer within its share.

        Raises httpcore.ConnectTimeout or ConnectError.
        """
        del timeout
        way = self._way
        left = seconds_left()
        if left <= 0:
            self.close()
            raise httpcore.ConnectTimeout
        ssl_context.sslsocket_class = _DeadlineSocket
        try:
            share = left / (1 + len(way.others)) if way else left
            return DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, share), secure=True)
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            if way is None or way.ends_here(error):
                raise
        return way.backend.connect_to(way.others, way.port).start_tls(ssl_context, server_hostname)

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        """See httpcore; ``is_readable`` keeps its pool from using this connection again."""
        return (info == "is_readable" and bool(self._held_back)) or self._inner.get_extra_info(info)

    def _read(self, max_bytes: int) -> bytes:
        """Wait until the deadline, or until what came is enough; then still look once.

        A process that was frozen in the middle of a create must not throw away the response that waits in its socket.
        The look comes also after a wait that timed out: a signal that comes as the process goes on ends the wait
        without one. How often is counted, see :meth:`.exchange.Exchange.looks_late`.
        """
        while (left := _left()) > 0:
            with suppress(httpcore.ReadTimeout):
                return self._inner.read(max_bytes, left)
        most = max_bytes if self._secure else current().looks_late(max_bytes)
        return self._inner.read(most, _A_LOOK)


class _DeadlineSocket(ssl.SSLSocket):
    """Receives within the deadline, however many receives a read takes.

    One of TLS inside TLS (a server behind a proxy that speaks TLS itself) takes as many as there are pieces of a
    record, and would give each of them all the time.
    """

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Raises TimeoutError."""
        left = _left()
        if left <= 0:
            left, buflen = _A_LOOK, current().looks_late(buflen)
        self.settimeout(left)
        return super().recv(buflen, flags)


def _left() -> float:
    """How many seconds may still be waited for something to read."""
    return min(seconds_left(), current().seconds_left())
