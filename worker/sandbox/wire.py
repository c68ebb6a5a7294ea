"""HTTP/1.1 as small as the sandbox needs it: a threaded server whose answers can be spoilt on purpose.

The standard library's server has no way to cut, drip or hold an answer; this one is about that. It keeps connections
alive, reads bodies by length or in chunks, and always answers with a length.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from io import BufferedReader
from typing import Self

from worker.sandbox.listener import Listener, reset_on_close

MAX_LINE = 65_536
MAX_HEADERS = 200
MAX_BODY = 64 * 1024 * 1024
_WITHOUT_BODY = (204, 304)
_LOOK = 0.02
"""Seconds between two looks whether a waiting client is still there."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came; ``target`` is raw (path and query), header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The raw path, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The raw query, without the question mark."""
        return self.target.partition("?")[2]


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer goes out.

    ``wait`` seconds pass first, or until ``released`` is set; then one byte every ``interval`` seconds (0: all at
    once); after ``keep`` bytes of the body (None: all) the connection ends. ``cut`` sends nothing but a reset.
    """

    wait: float = 0.0
    released: threading.Event | None = None
    interval: float = 0.0
    keep: int | None = None
    cut: bool = False


WHOLE = Delivery()


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. ``raw`` is sent instead of HTTP; ``sent`` is called with whether all bytes went to the client."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    delivery: Delivery = WHOLE
    raw: bytes | None = None
    sent: Callable[[bool], None] | None = None


Handler = Callable[[Request], Response]


class BadRequest(ValueError):
    """What came is not HTTP."""


class HttpServer:
    """Serves ``handler`` on ``host`` and ``port`` (0: a free one) until :meth:`stop`; raises OSError if it is taken."""

    def __init__(self, handler: Handler, host: str = "127.0.0.1", port: int = 0) -> None:
        self._handler = handler
        self._listener = Listener(self._serve, host, port)
        self.port = self._listener.port
        self.url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{self.port}"  # noqa: S104 - compared, not bound

    def stop(self) -> None:
        """Close the port and all connections; may be called twice."""
        self._listener.stop()

    def __enter__(self) -> Self:
        """Serve within a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as reader:
            try:
                while self._answer_one(connection, reader):
                    pass
            except BadRequest:
                _deliver(connection, "GET", Response(400, b"not HTTP"))
            except OSError:
                return  # the client went away, or the server is being stopped

    def _answer_one(self, connection: socket.socket, reader: BufferedReader) -> bool:
        request = _read_request(connection, reader)
        if request is None:
            return False
        response = self._handler(request)
        delivered = False
        try:
            delivered = _deliver(connection, request.method, response)
        finally:
            if response.sent:
                response.sent(delivered)
        return delivered and response.raw is None and request.headers.get("connection", "").lower() != "close"


def read_headers(reader: BufferedReader) -> Iterator[tuple[str, str]]:
    """Yield header lines up to the empty one, as they were sent; raises BadRequest."""
    for _ in range(MAX_HEADERS):
        line = reader.readline(MAX_LINE)
        if line in (b"\r\n", b"\n"):
            return
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise BadRequest
        yield name.strip(), value.strip()
    raise BadRequest


def _read_request(connection: socket.socket, reader: BufferedReader) -> Request | None:
    line = reader.readline(MAX_LINE)
    if not line:
        return None
    words = line.decode("latin-1").split()
    if len(words) != 3:  # noqa: PLR2004 - method, target, version
        raise BadRequest
    headers = {name.lower(): value for name, value in read_headers(reader)}
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return Request(words[0], words[1], headers, _read_body(reader, headers))


def _read_body(reader: BufferedReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join(_read_chunks(reader))
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        raise BadRequest
    return _exactly(reader, int(length))


def _read_chunks(reader: BufferedReader) -> Iterator[bytes]:
    total = 0
    while True:
        try:
            size = int(reader.readline(MAX_LINE).split(b";")[0], 16)
        except ValueError:
            raise BadRequest from None
        total += size
        if total > MAX_BODY:
            raise BadRequest
        if size == 0:
            list(read_headers(reader))
            return
        yield _exactly(reader, size)
        reader.readline(MAX_LINE)


def _exactly(reader: BufferedReader, size: int) -> bytes:
    body = reader.read(size)
    if len(body) < size:
        raise ConnectionError  # the client left in the middle of its request
    return body


def _deliver(connection: socket.socket, method: str, response: Response) -> bool:
    """Send the answer as its delivery says; True when all that belongs to it went out."""
    delivery = response.delivery
    if not _wait(connection, delivery):
        return False
    if delivery.cut:
        reset_on_close(connection)
        return False
    head, body = _render(response)
    whole = head if method == "HEAD" else head + body
    data = whole if delivery.keep is None else whole[: len(head) + delivery.keep]
    if delivery.interval:
        _drip(connection, data, delivery)
    else:
        connection.sendall(data)
    return len(data) == len(whole)


def _render(response: Response) -> tuple[bytes, bytes]:
    if response.raw is not None:
        return response.raw, b""
    given = {name.lower() for name, _ in response.headers}
    lines = [f"HTTP/1.1 {response.status} {reason(response.status)}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if "content-length" not in given and response.status not in _WITHOUT_BODY:
        lines.append(f"Content-Length: {len(response.body)}")
    if "date" not in given:
        lines.append(f"Date: {formatdate(usegmt=True)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1"), response.body


def reason(status: int) -> str:
    """The phrase of a status."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"  # such as Vault's 472 and 473


def _wait(connection: socket.socket, delivery: Delivery) -> bool:
    """Let the wait pass; False when the client has gone meanwhile."""
    released = delivery.released or threading.Event()
    until = time.monotonic() + delivery.wait
    while (left := until - time.monotonic()) > 0 and not released.wait(min(left, _LOOK)):
        if _is_gone(connection):
            return False
    return not _is_gone(connection)  # it may have left while the effect was waited for


def _is_gone(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def _drip(connection: socket.socket, data: bytes, delivery: Delivery) -> None:
    released = delivery.released or threading.Event()
    for position in range(len(data)):
        connection.sendall(data[position : position + 1])
        released.wait(delivery.interval)
