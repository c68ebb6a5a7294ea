"""Counts and times every call to Vault, by what it is for; no path of a secret is ever a label."""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from worker.adapters.http.engine import Engine
from worker.adapters.http.messages import Request, Response
from worker.adapters.vault.witness import Listening
from worker.meter import NO_ANSWER, Meter

_OF_KV = {
    ("GET", "data"): "read",
    ("POST", "data"): "write",
    ("PUT", "data"): "write",
    ("GET", "metadata"): "list",
    ("POST", "metadata"): "prepare",
    ("PUT", "destroy"): "destroy",
    ("POST", "destroy"): "destroy",
    ("PUT", "undelete"): "undelete",
    ("POST", "undelete"): "undelete",
}


class Metered:
    """Sends as the one below does, and tells ``meter`` of each call; ``mount`` is where the secrets are."""

    def __init__(self, http: Engine | Listening, mount: str, meter: Meter) -> None:
        self._http = http
        self._mount = mount
        self._meter = meter

    def send(self, request: Request) -> Response:
        """See :meth:`worker.adapters.http.engine.Engine.send`. Raises NoResponse."""
        began, code = time.monotonic(), NO_ANSWER
        try:
            response = self._http.send(request)
            code = str(response.status)
        finally:
            self._meter.called("vault", operation_of(request, self._mount), code, time.monotonic() - began)
        return response

    def close(self) -> None:
        """Close every connection."""
        self._http.close()


def operation_of(request: Request, mount: str) -> str:
    """What a call is for: one of a dozen words, whatever the path."""
    path = urlsplit(request.url).path.removeprefix("/v1/")
    if path.startswith("auth/"):
        last = path.rpartition("/")[2]
        return last if last in ("login", "lookup-self", "renew-self", "revoke-self") else "login"
    if path.startswith("sys/"):
        word = path.split("/")[1]
        return word if word in ("health", "leader", "capabilities-self", "wrapping") else "sys"
    kind = path.removeprefix(f"{mount}/").partition("/")[0]
    return _OF_KV.get((request.method, kind), "other")
