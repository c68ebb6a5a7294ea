"""HTTP calls for any number of threads, on httpcore, the engine of httpx.

What holds for every call: TLS verified, no redirects, no cookies, and at most :data:`MAX_BODY` bytes of body read.
Vault's calls are sent on it by hvac's adapter, all others by httpx (:mod:`.client`).
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import httpcore

from worker import __version__
from worker.adapters.http.backend import DeadlineBackend
from worker.adapters.http.causes import cause_in_words
from worker.adapters.http.decoding import Undecodable, decoded
from worker.adapters.http.exchange import Exchange, exchange
from worker.adapters.http.messages import NoResponse, Request, Response
from worker.adapters.http.trust import TlsFiles, Trust, public_authorities
from worker.settings.proxies import Proxies, Proxy

USER_AGENT = f"hostup-rotator/{__version__}"

MAX_BODY = 4 * 1024 * 1024
"""Bytes. The largest honest answer is a Vault document (1 MiB at most, docs/facts.md)."""

IDLE_SECONDS = 2.0
"""How long an idle connection is kept. Short: a call fails on a kept one that the server closes just then."""

_VERSIONS = (b"HTTP/1.1", b"HTTP/1.0")


class _Unusable(Exception):
    """A whole response came, but not one that can be used. The text quotes nothing of it."""


class _Way(NamedTuple):
    """Which server, and how it is reached."""

    secure: bool
    host: str
    proxy: Proxy | None


class _Tls(NamedTuple):
    server: ssl.SSLContext | None
    proxy: ssl.SSLContext | None


class _Kept(NamedTuple):
    pool: httpcore.ConnectionPool
    since: float
    tls: _Tls


def new_engine(
    *,
    ca_file: str | None = None,
    tls: TlsFiles | None = None,
    proxies: Proxies | None = None,
    backend: DeadlineBackend | None = None,
) -> Engine:
    """Make the engine of a service's calls. ``ca_file`` is trusted instead of the public authorities; so is ``tls``.

    Without ``proxies`` every way is direct. Raises OSError or ssl.SSLError when a file cannot be loaded.
    """
    tls = tls or TlsFiles(ca_file)
    return Engine(tls.trust(), proxies or Proxies(), backend or DeadlineBackend(), tls.server_name)


class Engine:
    """Sends requests; see the module. ``trust`` tells whom to trust instead of the public authorities.

    ``server_name`` is what certificates have to be for instead of a host's name; not by way of a proxy.
    """

    def __init__(
        self, trust: Trust | None, proxies: Proxies, backend: DeadlineBackend, server_name: str | None = None
    ) -> None:
        self.proxies = proxies
        self._server_name = server_name
        self._backend = backend
        # at first use: loading all authorities takes 20 ms, and a service on this machine may do without
        self._public = public_authorities()
        self._trust = trust
        self._kept: dict[_Way, deque[_Kept]] = {}

    def send(self, request: Request, *, fresh: bool = False, keep_raw: bool = False) -> Response:
        """Send a request :func:`worker.adapters.http.deadline.within` some time and read the whole response.

        ``fresh`` asks for a connection of its own, which is not kept: on a kept one that the server closes just then,
        the fate of the call would be unknown. For calls that must not be repeated. ``keep_raw`` keeps all that comes,
        also when it is no response.

        Raises NoResponse.
        """
        if not request.is_allowed:
            raise NoResponse("the request holds characters that HTTP does not allow", sent=False)
        way = _Way(request.url.startswith("https:"), request.host, self.proxies.to(request.url))
        with exchange(by_proxy=way.proxy is not None, keep_raw=keep_raw) as begun:
            outcome = self._outcome(request, way, begun, fresh=fresh)
        if isinstance(outcome, Response):
            return outcome
        try:
            raise outcome  # not where it was caught: the lower error, which may quote what came, would be its context
        finally:
            del outcome  # its traceback leads here, so it would stay in memory until garbage is searched for

    def close(self) -> None:
        """Close every connection that no call uses."""
        for kept in tuple(self._kept.values()):
            with suppress(IndexError):
                while True:
                    kept.pop().pool.close()

    def _outcome(self, request: Request, way: _Way, begun: Exchange, *, fresh: bool) -> Response | NoResponse:
        try:
            with self._pool(way, fresh=fresh) as pool:
                return _exchanged(pool, _as_httpcore(request, begun, self._server_name), begun)
        except httpcore.TimeoutException as error:
            _let_go(error)
            timed_out = not begun.patience.is_over
            return NoResponse(_reason(error, begun, way.proxy), sent=begun.sent, timed_out=timed_out, raw=begun.raw)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError, OSError) as error:
            # OSError: the authorities to trust cannot be loaded
            _let_go(error)
            return NoResponse(_reason(error, begun, way.proxy), sent=begun.sent, raw=begun.raw)
        except (_Unusable, Undecodable) as error:
            return NoResponse(str(error), sent=True, raw=begun.raw)

    @contextmanager
    def _pool(self, way: _Way, *, fresh: bool) -> Iterator[httpcore.ConnectionPool]:
        """A pool for one call; it is kept, with its connection, when that goes well.

        Many calls in one pool would wait for its lock, behind which it looks at all connections: with 32 threads a call
        takes three times the CPU.
        """
        tls = self._tls(way)
        pool = (None if fresh else self._take(way, tls)) or self._new_pool(way, tls)
        keep = False
        try:
            yield pool
            keep = not fresh
        finally:
            if keep:
                self._keep(way, _Kept(pool, time.monotonic(), tls))
            else:
                pool.close()

    def _tls(self, way: _Way) -> _Tls:
        """Raises OSError when the authorities to trust cannot be loaded."""
        server = (self._trust or self._public).context() if way.secure else None
        return _Tls(server, self._public.context() if way.proxy and way.proxy.secure else None)

    def _take(self, way: _Way, tls: _Tls) -> httpcore.ConnectionPool | None:
        """The one that was used last: its connection is the freshest. None goes on with certificates of before."""
        with suppress(IndexError):  # there is none, or another thread was quicker
            while True:
                kept = self._kept.setdefault(way, deque()).pop()
                if kept.tls == tls:
                    return kept.pool
                kept.pool.close()
        return None

    def _keep(self, way: _Way, now: _Kept) -> None:
        kept = self._kept.setdefault(way, deque())
        kept.append(now)
        with suppress(IndexError):  # other threads take from it, too
            while kept[0].since < now.since - IDLE_SECONDS:
                kept.popleft().pool.close()

    def _new_pool(self, way: _Way, tls: _Tls) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(
            ssl_context=tls.server,
            proxy=_proxy(way.proxy, tls.proxy) if way.proxy else None,
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self._backend,
        )


def _proxy(proxy: Proxy, trust: ssl.SSLContext | None) -> httpcore.Proxy:
    url = httpcore.URL(scheme="https" if proxy.secure else "http", host=proxy.host, port=proxy.port, target="/")
    login = (proxy.login[0].encode(), proxy.login[1].reveal().encode()) if proxy.login else None
    return httpcore.Proxy(url, auth=login, ssl_context=trust)


def _exchanged(pool: httpcore.ConnectionPool, request: httpcore.Request, begun: Exchange) -> Response:
    """Raises httpcore's errors, _Unusable and Undecodable."""
    answer = pool.handle_request(request)
    try:
        if answer.extensions["http_version"] not in _VERSIONS:
            raise _Unusable("the response is in no version of HTTP that is known here")
        body = _body(answer)
    finally:
        answer.close()
    headers = _headers(answer)
    return Response(answer.status, headers, decoded(body, headers.get("content-encoding", ""), MAX_BODY), begun.raw)


def _as_httpcore(request: Request, begun: Exchange, server_name: str | None) -> httpcore.Request:
    headers = {"Host": request.host, "User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
    headers |= request.headers
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    sent = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    extensions: dict[str, Any] = {"trace": begun.trace} if begun.by_proxy else {}
    if server_name:
        extensions["sni_hostname"] = server_name
    return httpcore.Request(request.method, request.url, headers=sent, content=request.body, extensions=extensions)


def _body(answer: httpcore.Response) -> bytes:
    body = bytearray()
    for part in answer.iter_stream():
        body += part
        if len(body) > MAX_BODY:
            raise _Unusable(f"the response is longer than {MAX_BODY} bytes")
    return bytes(body)


def _headers(answer: httpcore.Response) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in answer.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _let_go(error: BaseException) -> None:
    """Break the circles of the errors below.

    From Python 3.12 on, contextlib leaves one between an error, its traceback and a frame: with it all that came would
    stay in memory until garbage is searched for.
    """
    lower = error.__cause__ or error.__context__
    while lower:
        lower.__traceback__ = None
        lower = lower.__cause__ or lower.__context__


def _reason(error: Exception, begun: Exchange, proxy: Proxy | None) -> str:
    """What happened, in words that quote nothing: httpcore's own may hold a header that it refuses."""
    if isinstance(error, httpcore.ProxyError):
        return f"the proxy {proxy} refused the connection: it answered {str(error)[:3]}"
    timed_out = isinstance(error, httpcore.TimeoutException)
    if timed_out and begun.patience.is_over:
        return "the end of the response did not come"
    if begun.sent and timed_out:
        return "there was no whole response in time"
    if begun.sent:
        broken = isinstance(error, httpcore.ProtocolError)
        return "what came is no whole HTTP response" if broken else "the connection was lost"
    lacking = f"no connection could be made{f' by way of the proxy {proxy}' if proxy else ''}"
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    return f"{lacking} in time" if timed_out else f"{lacking}: {cause_in_words(cause)}"
