"""Sockets on which a call as a whole has a deadline.

Time-outs of libraries are for each read, so a server that drips one byte a second is never too slow for them. Here
every wait for the socket gets only what is left until the call's deadline.

The sockets never block, and a call takes four system calls: is the connection still good, send, wait, read. Each one
gives the interpreter to another thread, and on as many threads as a worker has, getting it back costs more than the
system call (`make bench`).
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from math import ceil
from typing import TypeVar

_BUFFER = 32 * 1024
"""Bytes that are read at once: more than most records have, so that an answer takes one read."""

_deadline: ContextVar[float] = ContextVar("deadline")

_T = TypeVar("_T")


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


def connect(host: str, port: int, trust: ssl.SSLContext | None) -> DeadlineSocket:
    """Connect, :func:`within` some time; with TLS if ``trust`` tells whom to trust.

    Raises OSError, of which TimeoutError at the deadline and ssl.SSLError for a certificate that does not fit.
    """
    left = seconds_left()
    if left <= 0:
        raise TimeoutError
    plain = socket.create_connection((host, port), left)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.setblocking(False)  # noqa: FBT003 - the standard library's signature
        if trust is None:
            return DeadlineSocket(plain)
        secure = trust.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    except BaseException:
        plain.close()
        raise
    try:
        _when_ready(secure, secure.do_handshake, select.POLLIN)
    except BaseException:
        secure.close()
        raise
    return DeadlineSocket(secure)


class DeadlineSocket:
    """A socket that never blocks. Waits end with TimeoutError at the deadline of :func:`within`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._readable = _poller(sock, select.POLLIN)
        self._encrypted = isinstance(sock, ssl.SSLSocket)

    def send(self, data: bytes) -> None:
        """Send all of it, as far as the other side takes it. Raises TimeoutError at the deadline."""
        if seconds_left() <= 0:
            raise TimeoutError
        unsent = memoryview(data)
        try:
            while unsent:
                unsent = unsent[_when_ready(self._sock, partial(self._sock.send, unsent), select.POLLOUT) :]
        except TimeoutError:
            raise
        except OSError:
            return  # a server may answer, and close, before it has read all: reading tells

    def receive(self) -> bytes:
        """Read what there is, at least a byte; nothing at the end. Raises OSError."""
        if not self._encrypted:  # TLS may have read ahead: it is asked first
            _wait(self._readable)
        return _when_ready(self._sock, partial(self._sock.recv, _BUFFER), select.POLLIN)

    def is_readable(self) -> bool:
        """Whether there is something to read, or the other side has closed."""
        return bool(self._readable.poll(0))

    def end(self) -> None:
        """Close the connection."""
        self._sock.close()


def _when_ready(sock: socket.socket, operation: Callable[[], _T], event: int) -> _T:
    """Do it as soon as the socket is ready, waiting for ``event``. Raises TimeoutError at the deadline."""
    while True:
        try:
            return operation()
        except BlockingIOError:
            wanted = event
        except ssl.SSLWantReadError:
            wanted = select.POLLIN
        except ssl.SSLWantWriteError:
            wanted = select.POLLOUT
        _wait(_poller(sock, wanted))


def _poller(sock: socket.socket, event: int) -> select.poll:
    poller = select.poll()
    poller.register(sock, event)
    return poller


def _wait(poller: select.poll) -> None:
    """Wait until the socket is ready. Raises TimeoutError at the deadline.

    Past the deadline it still looks once: a process that was frozen in the middle of a create must not throw away the
    answer that waits in its socket. Also after a wait that timed out: a signal that comes as the process goes on ends
    it without a look.
    """
    left = seconds_left()
    if not (left > 0 and poller.poll(ceil(left * 1000))) and not poller.poll(0):
        raise TimeoutError
