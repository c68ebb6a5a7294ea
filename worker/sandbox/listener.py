"""A TCP listener with one thread per connection, which can be ended at once."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

BACKLOG = 256


class Listener:
    """Accepts connections and hands each to ``serve`` in a thread of its own; the socket is closed when it returns.

    ``port`` 0 takes a free one. Raises OSError when the address is taken.
    """

    def __init__(self, serve: Callable[[socket.socket], None], host: str = "127.0.0.1", port: int = 0) -> None:
        self._serve = serve
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._listener = socket.create_server((host, port), backlog=BACKLOG)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name=f"accept-{self.port}", daemon=True)
        self._thread.start()

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopping.is_set()

    def drop_connections(self) -> None:
        """Reset every connection that is open now; new ones are accepted."""
        with self._lock:
            for connection in self._open:
                reset_on_close(connection)
                with contextlib.suppress(OSError):  # the peer was quicker
                    connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that serves it

    def stop(self) -> None:
        """Close the port and every connection. May be called twice."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        # A connection of our own ends the blocking accept on every platform; closing the socket does not.
        with contextlib.suppress(OSError), socket.create_connection((self._reachable_host(), self.port), 1):
            pass
        self._thread.join()
        self._listener.close()
        self.drop_connections()

    def _reachable_host(self) -> str:
        return "127.0.0.1" if self.host in ("", "0.0.0.0") else self.host  # noqa: S104 - compared, not bound

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                # Out of file descriptors, or the client was gone again: neither ends the server.
                if self._stopping.wait(0.01):
                    return
                continue
            if self._stopping.is_set():
                connection.close()
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: socket.socket) -> None:
        try:
            self._serve(connection)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()


def reset_on_close(connection: socket.socket) -> None:
    """Make the coming close a reset (RST) instead of an orderly end (FIN)."""
    with contextlib.suppress(OSError):  # the peer was quicker
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
