"""A relay in front of a server that counts what goes through it: connections, and bytes sent to the server."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Self

from worker.sandbox.listener import Listener

CHUNK = 65_536


class Relay:
    """Stands in for the server at ``upstream`` until :meth:`stop`; plain TCP, so it serves HTTP and Redis alike."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self._lock = threading.Lock()
        self.connections = 0
        self.sent = 0
        self._listener = Listener(self._serve)
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self.connections += 1
        with socket.create_connection(self._upstream) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            back = threading.Thread(target=_pass, args=(server, client), daemon=True)
            back.start()
            with contextlib.suppress(OSError):  # either side may leave at any moment
                while chunk := client.recv(CHUNK):
                    with self._lock:
                        self.sent += len(chunk)
                    server.sendall(chunk)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):  # either side may leave at any moment
        while chunk := source.recv(CHUNK):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
