"""A tiny HTTP server on a raw socket that answers what a test tells it to, byte for byte.

.. code-block:: python

    with Wire(answer(200, b"{}"), cut(b"HTTP/1.1 200 OK\\r\\n")) as wire:
        ...  # the first request gets the first step, every one after the last step that last step again
        assert [heard.method for heard in wire.heard] == ["GET", "POST"]
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

LOOPBACK_PEM = Path(__file__).with_name("loopback.pem")
"""A self-signed certificate for 127.0.0.1, with its key."""

EXAMPLE_PEM = Path(__file__).with_name("example.pem")
"""The same for the hosts hostup.example, vault.example and storage.example, which only a proxy of ours knows."""

Step = Callable[[socket.socket, threading.Event], bool]
"""Answers one request on its connection; True when the connection can take another one. The event: the wire ends."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as it came: the target undecoded, the names of headers in lower case; ``line`` is its connection."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    line: int


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Step:
    """A whole answer; the connection is kept."""
    data = raw(status, body, headers)

    def step(line: socket.socket, _ended: threading.Event) -> bool:
        line.sendall(data)
        return True

    return step


def cut(data: bytes) -> Step:
    """These bytes, then the end of the connection."""

    def step(line: socket.socket, _ended: threading.Event) -> bool:
        line.sendall(data)
        return False

    return step


def reset() -> Step:
    """No answer: the connection is torn down with a reset."""

    def step(line: socket.socket, _ended: threading.Event) -> bool:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return step


def drip(data: bytes, pause: float) -> Step:
    """These bytes one by one, ``pause`` seconds apart, until the client or the wire has had enough."""

    def step(line: socket.socket, ended: threading.Event) -> bool:
        for byte in data:
            line.sendall(bytes([byte]))
            if ended.wait(pause):
                return False
        return True

    return step


def silence() -> Step:
    """Nothing, until the client goes away or the wire ends."""

    def step(line: socket.socket, _ended: threading.Event) -> bool:
        return bool(line.recv(1)) and False

    return step


def raw(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A whole answer as bytes, with its Content-Length."""
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if status >= 200 and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


class Wire:
    """The server, on a free port of 127.0.0.1; with ``tls`` it shows the certificate of ``pem``.

    With ``client_ca`` it asks its clients for a certificate by that authority.
    """

    def __init__(
        self, *steps: Step, tls: bool = False, pem: Path = LOOPBACK_PEM, client_ca: Path | None = None
    ) -> None:
        self.heard: list[Heard] = []
        self._steps = list(steps)
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._lines: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._tls = _server_context(pem, client_ca) if tls else None
        self._listener = socket.create_server(("127.0.0.1", 0))

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def script(self, *steps: Step) -> None:
        """Answer the requests from now on with these."""
        with self._lock:
            self._steps[:] = steps
            self.heard.clear()

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._hang_up(self._listener)
        with self._lock:
            for line in self._lines:
                self._hang_up(line)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _hang_up(self, line: socket.socket) -> None:
        with suppress(OSError):  # not connected, or closed by its own thread
            line.shutdown(socket.SHUT_RDWR)

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return  # the wire ends
            with self._lock:
                self._lines.add(line)
            if self._ended.is_set():
                self._hang_up(line)
            self._start(self._serve, line)

    def _serve(self, bare: socket.socket) -> None:
        line = bare
        try:
            if self._tls:
                line = self._tls.wrap_socket(bare, server_side=True)
                with self._lock:
                    self._lines.add(line)
            self._converse(line)
        except OSError:
            pass  # the client went away, or refused the certificate
        finally:
            with self._lock:
                self._lines -= {bare, line}
            line.close()
            bare.close()

    def _converse(self, line: socket.socket) -> None:
        with line.makefile("rb") as stream:
            while heard := _request(stream.readline, stream.read, line.getpeername()[1]):
                with self._lock:
                    self.heard.append(heard)
                    step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
                if not step(line, self._ended):
                    return


def _request(readline: Callable[[], bytes], read: Callable[[int], bytes], line: int) -> Heard | None:
    first = readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers: dict[str, str] = {}
    while (header := readline().decode("latin-1").strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return Heard(first[0], first[1], headers, read(int(headers.get("content-length", "0"))), line)


def _server_context(pem: Path, client_ca: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context
