"""The HTTP server for probes, Prometheus and the leak webhook: a few threads, short bodies, and an end at once.

It is :mod:`http.server`, with bounds of our own on what that leaves open: how many threads there are, and how long a
request may take as a whole. Who sends a byte now and then would hold a thread for ever.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

import structlog

from worker.events import Event
from worker.settings.metrics import Listen

MOST_AT_ONCE = 8
"""Threads that answer. One more who asks meanwhile is turned away, and asks again by itself."""

LONGEST_SECONDS = 15.0
"""How long a request may take as a whole, until its answer is taken."""

LONGEST_BODY = 65_536
"""Bytes that somebody may send; a longer body is not read."""

TEXT = "text/plain; charset=utf-8"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered: status, text, what kind of text, and headers beside those that each answer has."""

    status: HTTPStatus
    text: str
    kind: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


Page = Callable[[], Answer]

Post = Callable[[Mapping[str, str], bytes], Answer]
"""Answers what was sent: its headers, by names in small letters, and its body."""


@dataclass(frozen=True, slots=True)
class Telling:
    """How it is told that an address is answered at, or that it cannot be had."""

    served: Event
    unavailable: Event
    hint: str


PROBES = Telling(
    Event.METRICS_SERVED,
    Event.METRICS_UNAVAILABLE,
    "Another worker may have it; it is tried again all the time. Workers on one machine each need an address of their "
    "own (ROTATOR_METRICS_LISTEN).",
)


class HttpDoor:
    """Answers at one address. Where that is taken it is told once, and tried again at each :meth:`keep_open`.

    Another worker with the same settings on this machine may have it: it shows what all share, and when it ends, this
    one shows it. A rotation must not wait for that, so it is no error.
    """

    def __init__(
        self,
        listen: Listen,
        pages: Mapping[str, Page],
        posts: Mapping[str, Post] | None = None,
        telling: Telling = PROBES,
    ) -> None:
        self._listen = listen
        self._pages = pages
        self._posts = posts or {}
        self._telling = telling
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._told = ""
        self._closed = False

    def keep_open(self) -> None:
        """Open it, unless it is open, or was closed for good."""
        with self._lock:
            if self._server is not None or self._closed:
                return
            try:
                self._server = _Server(self._listen, self._pages, self._posts)
            except OSError as error:
                self._tell(error.strerror or type(error).__name__)
                return
            self._told = ""
            threading.Thread(target=self._server.serve_forever, name="http", daemon=True).start()
            _log.info(self._telling.served, address="{}:{}".format(*self._server.server_address[:2]))

    def close(self) -> None:
        """Let the address go, at once; answers under way may still be taken."""
        with self._lock:
            self._closed = True
            server, self._server = self._server, None
        if server is not None:
            with suppress(OSError):  # wakes the thread that waits for callers
                server.socket.shutdown(socket.SHUT_RDWR)
            server.shutdown()
            server.server_close()

    def _tell(self, why: str) -> None:
        if why != self._told:
            _log.warning(self._telling.unavailable, address=str(self._listen), error=why, hint=self._telling.hint)
        self._told = why


class _Server(ThreadingHTTPServer):
    """Raises OSError where the address cannot be had."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False  # or two workers would share the callers without a word

    def __init__(self, listen: Listen, pages: Mapping[str, Page], posts: Mapping[str, Post]) -> None:
        self.address_family = socket.AF_INET6 if listen.is_ipv6 else socket.AF_INET
        self.pages = pages
        self.posts = posts
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        super().__init__((listen.host, listen.port), _Handler)

    def server_bind(self) -> None:
        """Without the look for this machine's name that HTTPServer would have."""
        TCPServer.server_bind(self)

    def get_request(self) -> Any:
        """Accept a caller. Raises OSError."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.1)  # out of files for a moment, or a caller that left
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, if there is a place for one."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be had; whoever asked is let go of by our caller
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, within the time."""
        cut = threading.Timer(LONGEST_SECONDS, partial(_cut, request))
        cut.daemon = True
        try:
            cut.start()
            super().process_request_thread(request, client_address)
        finally:
            cut.cancel()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver calls it so
        """The other side may be gone at any moment; there is nobody to tell. All else is an error of ours."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error(Event.ERROR_UNCAUGHT, kind=type(error).__name__, exc_info=error)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):  # it is closed already
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = LONGEST_SECONDS
    error_message_format = "%(message)s\n"
    error_content_type = TEXT

    def do_GET(self) -> None:
        """A page."""
        page = self.server.pages.get(self.path.partition("?")[0])
        self._answer(page) if page else self._not_found()

    def do_POST(self) -> None:
        """Something that is sent here."""
        post = self.server.posts.get(self.path)
        if not self.server.posts:
            self.send_error(HTTPStatus.NOT_IMPLEMENTED)
        elif post is None:
            self._not_found()
        else:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self._body(headers)
            if body is not None:
                self._answer(partial(post, headers, body))

    def _body(self, headers: Mapping[str, str]) -> bytes | None:
        """What was sent, as a whole; None where that is refused, or the other side left in the middle."""
        length = headers.get("content-length", "")
        if "transfer-encoding" in headers or not (length.isascii() and length.isdecimal()):
            self.send_error(HTTPStatus.LENGTH_REQUIRED)
            return None
        if len(length) > len(str(LONGEST_BODY)) or int(length) > LONGEST_BODY:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _answer(self, page: Page) -> None:
        try:
            answer = page()
        except Exception as error:  # noqa: BLE001 - the border to who asks, and who must not see any of it
            _log.exception(Event.ERROR_UNCAUGHT, kind=type(error).__name__)
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of the worker's own; its log tells it\n")
        self._send(answer)

    def _not_found(self) -> None:
        self._send(
            Answer(HTTPStatus.NOT_FOUND, "there are " + ", ".join({**self.server.pages, **self.server.posts}) + "\n")
        )

    def _send(self, answer: Answer) -> None:
        body = answer.text.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Without the names of programs and the time that http.server would add."""
        self.send_response_only(code, message)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server calls it by
        """Nothing: a probe each few seconds would fill the log."""
