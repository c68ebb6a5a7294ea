"""One request to HostUp and what came of it, counted and timed; never retried in here."""

from __future__ import annotations

import time

from worker.adapters.hostup.failures import Operation
from worker.adapters.hostup.whole import holds_whole_object
from worker.adapters.http.client import HttpClient
from worker.adapters.http.messages import NoResponse, Request, Response
from worker.adapters.http.patience import reading_until
from worker.meter import NO_ANSWER, Meter
from worker.secret import Secret


class Sender:
    """Sends by one shared :class:`.HttpClient` and tells ``meter`` of each call; safe for use by many threads."""

    def __init__(self, client: HttpClient, root: str, meter: Meter) -> None:
        self._client = client
        self._root = root
        self._meter = meter

    def send(self, operation: Operation, request: Request, *, keep_raw: bool = False) -> Response | NoResponse:
        """What came of it; to be called within the operation's deadline."""
        began = time.monotonic()
        outcome = self._outcome(operation, request, keep_raw=keep_raw)
        code = str(outcome.status) if isinstance(outcome, Response) else NO_ANSWER
        self._meter.called("hostup", operation.name, code, time.monotonic() - began, operation.account)
        return outcome

    def request(self, api_key: Secret, method: str, path: str, body: bytes | None = None) -> Request:
        """A request below the root, made by this API key."""
        headers = {"X-API-Key": api_key.reveal(), "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return Request(method, self._root + path, headers, body)

    def _outcome(self, operation: Operation, request: Request, *, keep_raw: bool) -> Response | NoResponse:
        try:
            with reading_until(holds_whole_object):
                return self._client.send(request, fresh=not operation.repeatable, keep_raw=keep_raw)
        except NoResponse as lost:
            return lost
