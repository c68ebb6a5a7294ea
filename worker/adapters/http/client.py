"""httpx on :mod:`.engine`: the client of the HostUp API and of the object storage.

httpx is kept from what is not wanted here: it follows no redirect, takes nothing from the environment (the engine knows
the proxies), and gets a body that is decoded already, with a limit on its length.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import httpx

from worker.adapters.http.backend import DeadlineBackend
from worker.adapters.http.engine import Engine, new_engine
from worker.adapters.http.messages import NoResponse, Request, Response
from worker.settings.proxies import Proxies

_UNREAD = frozenset({"location", "set-cookie", "content-encoding"})
"""Headers that httpx would act on: it builds the redirected request even with redirects off, and fails with errors
outside its own tree on an address such as ``mailto:x``; it sends cookies back; it decodes without a limit."""

_FRESH, _KEEP_RAW, _RAW = "rotator_fresh", "rotator_keep_raw", "rotator_raw"
"""What a request and its response carry beside themselves: names in httpx's ``extensions``."""


def new_client(
    *, ca_file: str | None = None, proxies: Proxies | None = None, backend: DeadlineBackend | None = None
) -> HttpClient:
    """Make the one shared client of a service; see :func:`worker.adapters.http.engine.new_engine`."""
    return HttpClient(new_engine(ca_file=ca_file, proxies=proxies, backend=backend))


class HttpClient:
    """Sends requests by httpx; safe for use by many threads."""

    def __init__(self, engine: Engine) -> None:
        self.proxies = engine.proxies
        self._client = httpx.Client(
            transport=_Transport(engine), follow_redirects=False, trust_env=False, timeout=httpx.Timeout(None)
        )
        self._client.headers.clear()  # the engine has its own

    def send(self, request: Request, *, fresh: bool = False, keep_raw: bool = False) -> Response:
        """Send a request and read the whole response; see :meth:`worker.adapters.http.engine.Engine.send`.

        Raises NoResponse.
        """
        if not request.is_allowed:
            raise NoResponse("the request holds characters that HTTP does not allow", sent=False)
        asked = self._client.build_request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.body,
            extensions={_FRESH: fresh, _KEEP_RAW: keep_raw},
        )
        answer = self._client.send(asked)
        # an httpx response and its stream know each other: a secret would stay in memory until garbage is searched for
        answer.stream = httpx.ByteStream(b"")
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers.raw}
        return Response(answer.status_code, headers, answer.content, answer.extensions[_RAW])

    def close(self) -> None:
        """Close every connection that no call uses."""
        self._client.close()

    def __enter__(self) -> Self:
        """For ``with``."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        self.close()


class _Transport(httpx.BaseTransport):
    """httpx's door to the engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. Raises NoResponse."""
        headers = {
            name.decode("ascii"): value.decode("latin-1")
            for name, value in request.headers.raw
            if name.lower() not in (b"host", b"content-length")
        }
        body = request.read() if request.headers.get("content-length") else None
        response = self._engine.send(
            Request(request.method, str(request.url), headers, body),
            fresh=bool(request.extensions[_FRESH]),
            keep_raw=bool(request.extensions[_KEEP_RAW]),
        )
        known = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in response.headers.items()
            if name not in _UNREAD
        ]
        return httpx.Response(
            response.status,
            headers=known,
            stream=httpx.ByteStream(response.body),
            extensions={_RAW: response.raw},
        )

    def close(self) -> None:
        """Close every connection."""
        self._engine.close()
