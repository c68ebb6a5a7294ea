"""Calls over ``http.client``, one kept connection for each thread and server: the floor that bare scripts are at."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 60.0


class Server:
    """One server; may be used by many threads. Errors are simply raised: this is no product."""

    def __init__(self, address: str, headers: dict[str, str] | None = None) -> None:
        split = urlsplit(address)
        self._host, self._port = split.hostname or "", split.port
        self._headers = headers or {}
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def call(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None) -> bytes:
        """One call; the body of its answer."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
            self._local.connection = connection
            self._opened.append(connection)
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {**self._headers, **(headers or {})})
        answer = connection.getresponse()
        read: bytes = answer.read()
        if answer.status >= http.client.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {answer.status} {read[:200]!r}")
        return read

    def close(self) -> None:
        """Close every connection, when no thread uses one any more."""
        for connection in self._opened:
            connection.close()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The same, with an answer in JSON."""
        return json.loads(self.call(method, path, body))
