"""Connections whose answer is there in time as a whole: the standard library gives each wait for a byte that time.

What sends a byte now and then would hold a program for hours, though its last good key is kept. So would a name server
that is silent: the system asks it for half a minute (resolv.conf(5)), and cannot be interrupted. And each address of a
name would be waited for anew.
"""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from typing import Any

SECONDS = 5.0
"""For a call: a program waits for it."""


Lookup = Callable[[str, int], list[str]]
"""The addresses of a name, for a port. Raises OSError, or ValueError for what is no name."""


def looked_up(host: str, port: int) -> list[str]:
    """As the system knows them."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class TimedConnection(HTTPConnection):
    """A connection for one call, which has ``timeout`` seconds from now until its answer is read."""

    def __init__(self, host: str, *, timeout: float = SECONDS, lookup: Lookup = looked_up, **more: Any) -> None:
        super().__init__(host, timeout=timeout, **more)
        ends = time.monotonic() + timeout
        self._create_connection = partial(_connected, lookup, ends)
        self.response_class = partial(_TimedResponse, ends)  # type: ignore[assignment] # it is only called


class TimedTlsConnection(TimedConnection, HTTPSConnection):
    """The same with TLS."""


class TimedHandler(urllib.request.HTTPHandler):
    """What an opener needs for http."""

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        """As urllib calls it."""
        return self.do_open(TimedConnection, req)


def _connected(lookup: Lookup, ends: float, address: tuple[str, int], *_: object) -> socket.socket:
    """A connection to the first address that takes one; each gets its share of what is left. Raises OSError."""
    host, port = address
    found = _found_in_time(partial(lookup, host, port), ends)
    for place, each in enumerate(found, start=1):
        share = max(ends - time.monotonic(), 0.001) / (len(found) - place + 1)
        try:
            return socket.create_connection((each, port), share)
        except OSError:
            if place == len(found):
                raise
    raise OSError(f"the name {host} has no address")


def _found_in_time(look: Callable[[], list[str]], ends: float) -> list[str]:
    """What a lookup finds until then; one that comes later is left to itself. Raises TimeoutError, and what it does."""
    found: list[list[str] | OSError | ValueError] = []

    def run() -> None:
        try:
            found.append(look())
        except (OSError, ValueError) as error:
            found.append(error)

    thread = threading.Thread(target=run, daemon=True, name="name lookup")
    thread.start()
    thread.join(ends - time.monotonic())
    if not found:
        raise TimeoutError("its name is not looked up in time")
    if isinstance(found[0], Exception):
        raise found[0]
    return found[0]


class _TimedResponse(HTTPResponse):
    def __init__(self, ends: float, sock: socket.socket, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self.fp = BufferedReader(_TimedStream(ends, sock, self.fp.detach()))


class _TimedStream(RawIOBase):
    """What comes in until ``ends``; ``stream`` keeps the socket open, as urllib closes it before the answer is read."""

    def __init__(self, ends: float, sock: socket.socket, stream: RawIOBase) -> None:
        self._ends = ends
        self._sock = sock
        self._stream = stream

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Raises TimeoutError."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        """And let go of the socket."""
        self._stream.close()
        super().close()
