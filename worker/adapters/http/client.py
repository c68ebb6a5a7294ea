"""HTTP calls for any number of threads, on httpcore, which is what httpx itself sends with.

What holds for every call: TLS verified, no redirects, no cookies, and at most :data:`MAX_BODY` bytes of body read.

httpx's own client is left out, as it does what is not wanted here: it builds the redirected request even with redirects
off, keeps cookies, decodes bodies without a limit, and ties each response to itself, so that the secret in it stays in
memory until garbage is searched for.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import NamedTuple, Self

import certifi
import httpcore

from worker import __version__
from worker.adapters.http.backend import DeadlineBackend
from worker.adapters.http.decoding import Undecodable, decoded
from worker.adapters.http.exchange import Exchange, exchange
from worker.adapters.http.messages import NoResponse, Request, Response
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
    """How a server is reached."""

    secure: bool
    proxy: Proxy | None


def new_client(
    *, ca_file: str | None = None, proxies: Proxies | None = None, backend: DeadlineBackend | None = None
) -> HttpClient:
    """Make the one shared client of a service. ``ca_file`` is trusted instead of the public authorities.

    Raises OSError or ssl.SSLError when ``ca_file`` cannot be loaded; ConfigurationError when the environment, which
    tells of proxies unless they are given, names one that is none.
    """
    trust = ssl.create_default_context(cafile=ca_file) if ca_file else None
    return HttpClient(trust, Proxies.of(os.environ) if proxies is None else proxies, backend or DeadlineBackend())


class HttpClient:
    """Sends requests; see the module. ``trust`` tells whom to trust instead of the public authorities."""

    def __init__(self, trust: ssl.SSLContext | None, proxies: Proxies, backend: DeadlineBackend) -> None:
        self.proxies = proxies
        self._backend = backend
        # at first use: loading all authorities takes 20 ms, and a service on this machine may do without
        self._trust = cache(lambda: trust or _public_authorities())
        self._pools: dict[_Way, httpcore.ConnectionPool] = {}
        self._lock = threading.Lock()

    def send(self, request: Request, *, fresh: bool = False, keep_raw: bool = False) -> Response:
        """Send a request :func:`worker.adapters.http.deadline.within` some time and read the whole response.

        ``fresh`` asks for a connection of its own, which is not kept: on a kept one that the server closes just then,
        the fate of the call would be unknown. For calls that must not be repeated. ``keep_raw`` keeps all that comes,
        also when it is no response.

        Raises NoResponse.
        """
        if not request.is_allowed:
            raise NoResponse("the request holds characters that HTTP does not allow", sent=False)
        way = _Way(request.url.startswith("https:"), self.proxies.to(request.url))
        with exchange(by_proxy=way.proxy is not None, keep_raw=keep_raw) as begun:
            outcome = self._outcome(request, way, begun, fresh=fresh)
        if isinstance(outcome, Response):
            return outcome
        try:
            raise outcome  # not where it was caught: the lower error, which may quote what came, would be its context
        finally:
            del outcome  # its traceback leads here, so it would stay in memory until garbage is searched for

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()

    def __enter__(self) -> Self:
        """For ``with``."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        self.close()

    def _outcome(self, request: Request, way: _Way, begun: Exchange, *, fresh: bool) -> Response | NoResponse:
        try:
            with self._pool(way, fresh=fresh) as pool:
                return _exchanged(pool, request, begun)
        except httpcore.TimeoutException:
            reason = "there was no whole response in time" if begun.sent else "no connection could be made in time"
            return NoResponse(reason, sent=begun.sent, timed_out=True, raw=begun.raw)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError) as error:
            return NoResponse(_reason(error, begun, way.proxy), sent=begun.sent, raw=begun.raw)
        except (_Unusable, Undecodable) as error:
            return NoResponse(str(error), sent=True, raw=begun.raw)
        finally:
            if way.proxy and not begun.sent:
                self._forget(way)

    @contextmanager
    def _pool(self, way: _Way, *, fresh: bool) -> Iterator[httpcore.ConnectionPool]:
        if fresh:
            with self._new_pool(way) as pool:
                yield pool
            return
        with self._lock:
            pool = self._pools.get(way) or self._pools.setdefault(way, self._new_pool(way))
        yield pool

    def _forget(self, way: _Way) -> None:
        """Make connections by this way in a new pool from now on.

        httpcore never lets go of a connection through a proxy on which TLS could not be agreed, so that a wrong
        certificate would fill the memory. Calls under way keep the old pool until they are done.
        """
        with self._lock:
            self._pools.pop(way, None)

    def _new_pool(self, way: _Way) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(
            ssl_context=self._trust() if way.secure else None,
            proxy=_proxy(way.proxy) if way.proxy else None,
            max_connections=None,  # a thread must never wait for another one's connection
            keepalive_expiry=IDLE_SECONDS,
            network_backend=self._backend,
        )


def _proxy(proxy: Proxy) -> httpcore.Proxy:
    url = httpcore.URL(scheme="https" if proxy.secure else "http", host=proxy.host, port=proxy.port, target="/")
    login = (proxy.login[0].encode(), proxy.login[1].reveal().encode()) if proxy.login else None
    return httpcore.Proxy(url, auth=login, ssl_context=_public_authorities() if proxy.secure else None)


def _exchanged(pool: httpcore.ConnectionPool, request: Request, begun: Exchange) -> Response:
    """Raises httpcore's errors, _Unusable and Undecodable."""
    answer = pool.handle_request(_as_httpcore(request, begun))
    try:
        if answer.extensions["http_version"] not in _VERSIONS:
            raise _Unusable("the response is in no version of HTTP that is known here")
        body = _body(answer)
    finally:
        answer.close()
    headers = _headers(answer)
    return Response(answer.status, headers, decoded(body, headers.get("content-encoding", ""), MAX_BODY), begun.raw)


def _as_httpcore(request: Request, begun: Exchange) -> httpcore.Request:
    headers = {
        "Host": request.host,
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        **request.headers,
    }
    if request.body is not None:
        headers["Content-Length"] = str(len(request.body))
    sent = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    extensions = {"trace": begun.trace} if begun.by_proxy else {}
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


def _reason(error: Exception, begun: Exchange, proxy: Proxy | None) -> str:
    """What happened, in words that quote nothing: httpcore's own may hold a header that it refuses."""
    if isinstance(error, httpcore.ProxyError):
        return f"the proxy {proxy} refused the connection: it answered {str(error)[:3]}"
    if begun.sent:
        whole = isinstance(error, httpcore.ProtocolError)
        return "what came is no whole HTTP response" if whole else "the connection was lost"
    cause = error.args[0] if error.args else error
    kind = type(cause if isinstance(cause, Exception) else error).__name__
    return f"no connection could be made{f' by way of the proxy {proxy}' if proxy else ''}: {kind}"


def _public_authorities() -> ssl.SSLContext:
    """The authorities that browsers trust, or those that SSL_CERT_FILE or SSL_CERT_DIR name, as httpx has it."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file or folder:
        return ssl.create_default_context(cafile=file or None, capath=None if file else folder)
    return ssl.create_default_context(cafile=certifi.where())
