"""The simulator's own controls, on a port of their own that the product never meets.

``GET /_sim/health``; ``GET /_sim/ledger?since=N``; ``GET``, ``POST`` and ``DELETE`` ``/_sim/keys`` (with secrets: for
checkers), and the same at ``/_sim/api-keys``, by ids; ``GET`` and ``PATCH`` ``/_sim/behaviour``; ``GET``, ``POST`` and
``DELETE`` ``/_sim/faults``; ``POST /_sim/release`` ends everything that waits.
:class:`worker.sandbox.simulator.controls.SimulatorAdmin` speaks this.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from worker.sandbox.simulator.api_keys import ApiKeys
from worker.sandbox.simulator.behaviour import BehaviourBox
from worker.sandbox.simulator.faults import FaultBook, from_json
from worker.sandbox.simulator.keys import KeyStore
from worker.sandbox.simulator.ledger import Ledger
from worker.sandbox.simulator.spoil import JSON
from worker.sandbox.wire import Request, Response


@dataclass(frozen=True, slots=True)
class AdminApi:
    """Answers requests to the controls; ``handle`` is the handler of an HttpServer."""

    keys: KeyStore
    ledger: Ledger
    behaviour: BehaviourBox
    faults: FaultBook
    api_keys: ApiKeys

    def handle(self, request: Request) -> Response:
        """Answer one request; 400 says what is wrong with it."""
        try:
            return self._answer(request)
        except (ValueError, TypeError) as error:
            return _json({"error": str(error)}, 400)

    def _answer(self, request: Request) -> Response:
        control, _, name = request.path.removeprefix("/_sim/").partition("/")
        match control:
            case "behaviour":
                return self._behaviour(request)
            case "faults":
                return self._faults(request)
            case "keys":
                return self._keys(request, unquote(name))
            case "api-keys":
                return self._api_keys(request, unquote(name))
            case _:
                return self._look(request, control)

    def _look(self, request: Request, control: str) -> Response:
        match request.method, control:
            case "GET", "health":
                return _json({"ok": True})
            case "GET", "ledger":
                since = int(parse_qs(request.query).get("since", ["0"])[0])
                return Response(200, self.ledger.since(since).encode(), (JSON,))
            case "POST", "release":
                self.faults.release()
                return _json({"released": True})
            case _:
                return _json({"error": "no such control"}, 404)

    def _behaviour(self, request: Request) -> Response:
        if request.method == "PATCH":
            self.behaviour.change(_body(request))
        return _json(asdict(self.behaviour.now))

    def _faults(self, request: Request) -> Response:
        match request.method:
            case "POST":
                self.faults.order(from_json(_body(request)))
            case "DELETE":
                self.faults.clear()
        return _json(self.faults.open())

    def _keys(self, request: Request, access_key: str) -> Response:
        match request.method:
            case "POST":
                body = _body(request)
                key = self.keys.create(str(body.get("label", "by hand")), access_key=body.get("access_key"))
                return _json({"access_key": key.access_key, "secret_key": key.secret_key, "label": key.label})
            case "DELETE":
                return _json({"deleted": self.keys.delete(access_key)})
            case _:
                return _json(self.keys.describe())

    def _api_keys(self, request: Request, key_id: str) -> Response:
        match request.method:
            case "POST":
                body = _body(request)
                key = self.api_keys.create(str(body.get("name", "by hand")), tuple(body.get("scopes", ())))
                return _json(asdict(key))
            case "DELETE":
                return _json({"deleted": self.api_keys.end(key_id)})
            case _:
                return _json(self.api_keys.describe())


def _body(request: Request) -> dict[str, Any]:
    body = json.loads(request.body)
    if not isinstance(body, dict):
        raise TypeError("the body is an object")
    return body


def _json(body: object, status: int = 200) -> Response:
    return Response(status, json.dumps(body).encode(), (JSON,))
