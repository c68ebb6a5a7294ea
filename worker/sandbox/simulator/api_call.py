"""A call of the simulated HostUp API: what it is known by, how it is answered, and what stands in its request."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass

from worker.sandbox.simulator.spoil import api_error, json_response
from worker.sandbox.wire import Request, Response


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call under way: its number in the ledger, its requestId, its time, and what ends its waiting."""

    number: int
    request_id: str
    timestamp: str
    released: threading.Event

    def success(self, data: object) -> Response:
        """The API's 200, in the order of fields that the seed page shows."""
        return json_response(
            200, {"success": True, "timestamp": self.timestamp, "requestId": self.request_id, "data": data}
        )

    def error(self, status: int, code: str, message: str) -> Response:
        """The API's documented error."""
        return api_error(status, code, message, self.request_id, self.timestamp)


def json_of(request: Request) -> dict[str, object]:
    """The object in a request's body; an empty one for anything else."""
    try:
        body = json.loads(request.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
