"""Connections whose answer is there in time as a whole: the standard library gives each wait for a byte that time.

What sends a byte now and then would hold a program for hours, though its last good key is kept.
"""

from __future__ import annotations

import time
import urllib.request
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from io import BufferedReader, RawIOBase
from socket import socket
from typing import Any

SECONDS = 5.0
"""For a call: a program waits for it."""


class TimedConnection(HTTPConnection):
    """A connection for one call, which has ``timeout`` seconds from now until its answer is read."""

    def __init__(self, host: str, *, timeout: float = SECONDS, **more: Any) -> None:
        super().__init__(host, timeout=timeout, **more)
        ends = time.monotonic() + timeout
        self.response_class = partial(_TimedResponse, ends)  # type: ignore[assignment] # it is only called


class TimedTlsConnection(TimedConnection, HTTPSConnection):
    """The same with TLS."""


class TimedHandler(urllib.request.HTTPHandler):
    """What an opener needs for http."""

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        """As urllib calls it."""
        return self.do_open(TimedConnection, req)


class _TimedResponse(HTTPResponse):
    def __init__(self, ends: float, sock: socket, *arguments: Any, **more: Any) -> None:
        super().__init__(sock, *arguments, **more)
        self.fp = BufferedReader(_TimedStream(ends, sock, self.fp.detach()))


class _TimedStream(RawIOBase):
    """What comes in until ``ends``; ``stream`` keeps the socket open, as urllib closes it before the answer is read."""

    def __init__(self, ends: float, sock: socket, stream: RawIOBase) -> None:
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
