"""A forward proxy as companies have one: CONNECT for https, whole addresses for http, with or without a login."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from tests.wire import LOOPBACK_PEM
from worker.sandbox.listener import Listener

CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to the proxy: its first line in words, its headers with names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]


class ForwardProxy:
    """Leads to ports of this machine by the names in ``hosts``, whatever the port that is asked for.

    Without the ``login`` (name:password), if there is one, it answers 407. ``refusal`` is what it answers to everything
    instead, and with ``silent`` it never answers. With ``tls`` it shows the certificate of :data:`LOOPBACK_PEM`.
    """

    def __init__(
        self,
        hosts: Mapping[str, int],
        login: str | None = None,
        *,
        refusal: bytes = b"",
        silent: bool = False,
        tls: bool = False,
    ) -> None:
        self.asked: list[Asked] = []
        self._hosts = hosts
        self._login = login and "Basic " + base64.b64encode(login.encode()).decode()
        self._refusal = refusal
        self._silent = silent
        self._tls = tls
        self._listener = Listener(self._serve)
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the client may leave at any moment
            if self._tls:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(LOOPBACK_PEM)
                client = context.wrap_socket(client, server_side=True)
            with client:
                self._answer(client)

    def _answer(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):  # byte by byte: what follows is the server's
            byte = client.recv(1)
            if not byte:
                return
            head += byte
        asked = _asked(head)
        self.asked.append(asked)
        if self._silent:
            client.recv(1)
        elif self._refusal:
            client.sendall(self._refusal)
        elif self._login not in (None, asked.headers.get("proxy-authorization")):
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        else:
            self._forward(client, head, asked)

    def _forward(self, client: socket.socket, head: bytes, asked: Asked) -> None:
        host = asked.target.removeprefix("http://").split("/")[0].rpartition(":")[0] or asked.target.split("/")[2]
        with socket.create_connection(("127.0.0.1", self._hosts[host])) as server:
            if asked.method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                server.sendall(head)
            _both_ways(client, server)


def _asked(head: bytes) -> Asked:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = (line.partition(": ") for line in lines)
    return Asked(method, target, {name.lower(): value for name, _, value in headers})


def _both_ways(client: socket.socket, server: socket.socket) -> None:
    back = threading.Thread(target=_pass, args=(server.recv, client.sendall), daemon=True)
    back.start()
    _pass(client.recv, server.sendall)
    with contextlib.suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)
    back.join()


def _pass(receive: Callable[[int], bytes], send: Callable[[bytes], None]) -> None:
    with contextlib.suppress(OSError):  # either side may leave at any moment
        while chunk := receive(CHUNK):
            send(chunk)
