"""An HTTP proxy between a worker and one of its services, which does what a script says and records what it saw.

It answers to the service's requests in its place: give the worker the proxy's ``url`` instead of the service's. Each
request goes upstream on a connection of its own, with all its headers (so that signatures stay right). Plain HTTP only.
For Redis see :mod:`worker.selftest.redis_proxy`.
"""

from __future__ import annotations

import http.client
from dataclasses import replace
from typing import Self
from urllib.parse import urlsplit

from worker.sandbox.wire import Delivery, HttpServer, Request, Response
from worker.selftest.script import Exchange, Moment, Rule, Script, act

UPSTREAM_SECONDS = 120.0
"""How long the upstream server may take; longer than any deadline of the worker's."""

CUT = Response(0, delivery=Delivery(cut=True))
"""No answer, but a reset connection."""

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


class HttpProxy:
    """Stands in for ``service`` (its name in the trace) at ``upstream`` (a base URL) until :meth:`stop`.

    ``upstream`` may be changed while it runs. Raises OSError when ``port`` is taken.
    """

    def __init__(self, service: str, upstream: str, script: Script, port: int = 0) -> None:
        self.service = service
        self.upstream = upstream
        self._script = script
        self._server = HttpServer(self._handle, port=port)
        self.port = self._server.port
        self.url = self._server.url

    def stop(self) -> None:
        """Close the port and all connections; may be called twice."""
        self._server.stop()

    def __enter__(self) -> Self:
        """Serve within a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    def _handle(self, request: Request) -> Response:
        seen, rules = self._script.arrived(self.service, request.method, request.target)
        exchange = Exchange(seen, request)
        answer = act(rules, Moment.BEFORE, exchange)
        if answer is None:
            forwarded = forward(self.upstream, request)
            exchange = replace(exchange, answer=forwarded)
            answer = act(rules, Moment.AFTER, exchange) or forwarded
        if not answer.delivery.cut:
            self._script.answered(seen, answer.status)
        return self._then(answer, rules, exchange)

    @staticmethod
    def _then(answer: Response, rules: tuple[Rule, ...], exchange: Exchange) -> Response:
        if not any(rule.moment is Moment.DELIVERED for rule in rules):
            return answer

        def sent(delivered: bool) -> None:  # noqa: FBT001 - what the server calls when it is through
            if delivered:
                act(rules, Moment.DELIVERED, replace(exchange, answer=answer))

        return replace(answer, sent=sent)


def forward(upstream: str, request: Request) -> Response:
    """Send a request to the server at ``upstream`` and read its answer; CUT when there is none."""
    address = urlsplit(upstream)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=UPSTREAM_SECONDS)
    try:
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if name not in _HOP_BY_HOP:
                connection.putheader(name, value)
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(request.body)))
        connection.endheaders(request.body or None)
        answer = connection.getresponse()
        return Response(answer.status, answer.read(), _passed_on(request, answer))
    except (OSError, http.client.HTTPException):
        return CUT  # the client is shown what we saw: a server that does not answer
    finally:
        connection.close()


def _passed_on(request: Request, answer: http.client.HTTPResponse) -> tuple[tuple[str, str], ...]:
    kept = tuple((name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP)
    length = answer.getheader("Content-Length")
    return (*kept, ("Content-Length", length)) if request.method == "HEAD" and length else kept
