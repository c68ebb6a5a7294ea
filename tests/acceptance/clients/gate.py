"""A relay of HTTP in front of a server, for one client: it counts what that client asks, and how it was answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from worker.sandbox.wire import HttpServer, Request, Response
from worker.selftest.proxy import forward

_KEY = re.compile(r"Credential=([^/]+)/")


@dataclass(frozen=True, slots=True)
class Call:
    """One call; ``access_key`` is what it was signed with, empty where it was not."""

    target: str
    status: int
    access_key: str


class Gate:
    """Stands in for the server at ``upstream``, which gets everything as it was sent: signatures stay right.

    ``changed`` is done to the body of each answer.
    """

    def __init__(self, upstream: str, changed: Callable[[bytes], bytes] = lambda body: body) -> None:
        self._upstream = upstream
        self._changed = changed
        self._calls: list[Call] = []
        self._server = HttpServer(self._handle)
        self.url = self._server.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    @property
    def calls(self) -> tuple[Call, ...]:
        """What was asked until now."""
        return tuple(self._calls)

    def count(self, status: int) -> int:
        """How many calls were answered with this status."""
        return sum(call.status == status for call in self.calls)

    def _handle(self, request: Request) -> Response:
        answer = forward(self._upstream, request)
        signed = _KEY.search(request.headers.get("authorization", ""))
        self._calls.append(Call(request.target, answer.status, signed[1] if signed else ""))
        return replace(answer, body=self._changed(answer.body))
