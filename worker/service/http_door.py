"""A very small HTTP server for probes and Prometheus: a few threads, GET only, little to read, and an end at once.

Written by hand and not with :mod:`http.server`, which bounds neither its threads nor how long a request may take as a
whole: who sends a byte now and then would hold a thread for ever.
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from http import HTTPStatus

import structlog

from worker.events import Event
from worker.settings.metrics import Listen

MOST_AT_ONCE = 8
"""Threads that answer. One more who asks meanwhile is turned away, and asks again by itself."""

LONGEST_HEAD = 8 * 1024
"""Bytes of a request; Prometheus sends some 500."""

HEAD_SECONDS = 5.0
ANSWER_SECONDS = 20.0
"""How long a request may take to come, and an answer to be taken."""

TEXT = "text/plain; charset=utf-8"

_BACKLOG = 16
_REQUEST = re.compile(rb"[A-Z]{1,16} [!-~]{1,2000} HTTP/1\.[01]")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: status, text, and what kind of text."""

    status: HTTPStatus
    text: str
    kind: str = TEXT


Page = Callable[[], Answer]


class HttpDoor:
    """Answers at one address. Where that is taken it is told once, and tried again at each :meth:`keep_open`.

    Another worker with the same settings on this machine may have it: it shows what all share, and when it ends, this
    one shows it. A rotation must not wait for that, so it is no error.
    """

    def __init__(self, listen: Listen, pages: Mapping[str, Page]) -> None:
        self._listen = listen
        self._pages = pages
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._told = ""
        self._closed = False

    def keep_open(self) -> None:
        """Open it, unless it is open, or was closed for good."""
        with self._lock:
            if self._socket is not None or self._closed:
                return
            try:
                self._socket = _bound(self._listen)
            except OSError as error:
                self._tell(error.strerror or type(error).__name__)
                return
            self._told = ""
            threading.Thread(target=self._accept, args=(self._socket,), name="http", daemon=True).start()
            _log.info(Event.METRICS_SERVED, address="{}:{}".format(*self._socket.getsockname()[:2]))

    def close(self) -> None:
        """Let the address go, at once; answers under way may still be taken."""
        with self._lock:
            self._closed = True
            opened, self._socket = self._socket, None
        if opened is not None:
            # close alone would leave the thread waiting, and the port taken
            with _ended():
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()

    def _tell(self, why: str) -> None:
        if why != self._told:
            hint = (
                "Another worker may have it; it is tried again all the time. Workers on one machine each need "
                "an address of their own (ROTATOR_METRICS_LISTEN)."
            )
            _log.warning(Event.METRICS_UNAVAILABLE, address=str(self._listen), error=why, hint=hint)
        self._told = why

    def _accept(self, opened: socket.socket) -> None:
        while True:
            try:
                connection, _ = opened.accept()
            except OSError:
                if self._socket is not opened:
                    return
                time.sleep(0.1)  # out of files for a moment, or a caller that left
                continue
            if self._places.acquire(blocking=False):
                threading.Thread(target=self._serve, args=(connection,), name="http answer", daemon=True).start()
            else:
                connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, _ended():
                answer = self._answer(_head(connection))
                if answer:
                    _send(connection, answer)
        finally:
            self._places.release()

    def _answer(self, head: bytes | None) -> Answer | None:
        if head is None:
            return None
        if not head:
            return Answer(HTTPStatus.BAD_REQUEST, "no request of HTTP, or one that is too long\n")
        method, target = head.split(b" ", 2)[:2]
        page = self._pages.get(target.partition(b"?")[0].decode("latin-1"))
        if method != b"GET":
            return Answer(HTTPStatus.METHOD_NOT_ALLOWED, "only GET\n")
        if page is None:
            return Answer(HTTPStatus.NOT_FOUND, "there are " + ", ".join(self._pages) + "\n")
        try:
            return page()
        except Exception as error:  # noqa: BLE001 - the border to who asks, and who must not see any of it
            _log.exception(Event.ERROR_UNCAUGHT, kind=type(error).__name__)
            return Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the worker's own; its log tells it\n")


def _bound(listen: Listen) -> socket.socket:
    """A socket that listens. Raises OSError."""
    family = socket.AF_INET6 if listen.is_ipv6 else socket.AF_INET
    # it may be bound again while connections of the worker before are still being closed
    return socket.create_server((listen.host, listen.port), family=family, backlog=_BACKLOG, reuse_port=False)


def _head(connection: socket.socket) -> bytes | None:
    """The request's first line, once its head is whole; empty for what is none, None where nothing comes in time."""
    ends, read = time.monotonic() + HEAD_SECONDS, b""
    while b"\r\n\r\n" not in read:
        left = ends - time.monotonic()
        if left <= 0:
            return None
        connection.settimeout(left)
        piece = connection.recv(LONGEST_HEAD)
        if not piece:
            return None
        read += piece
        if len(read) > LONGEST_HEAD:
            return b""
    line = read.partition(b"\r\n")[0]
    return line if _REQUEST.fullmatch(line) else b""


def _send(connection: socket.socket, answer: Answer) -> None:
    body = answer.text.encode()
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\nContent-Type: {answer.kind}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-store\r\nConnection: close\r\n"
    )
    allow = "Allow: GET\r\n" if answer.status is HTTPStatus.METHOD_NOT_ALLOWED else ""
    connection.settimeout(ANSWER_SECONDS)  # for all of it
    connection.sendall(f"{head}{allow}\r\n".encode() + body)
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(1.0)
    connection.recv(LONGEST_HEAD)  # what was not read would have the answer thrown away


def _ended() -> AbstractContextManager[None]:
    """The other side may be gone at any moment; there is nobody to tell."""
    return suppress(OSError)
