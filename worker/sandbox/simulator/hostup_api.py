"""The simulated HostUp API, as far as /api/object-storage and /api/keys are documented, with faults."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import unquote

from worker.sandbox.simulator.api_call import ApiCall, json_of
from worker.sandbox.simulator.api_keys import ApiKeys
from worker.sandbox.simulator.api_keys_api import KEY_OPERATIONS, about_api_keys
from worker.sandbox.simulator.behaviour import BehaviourBox
from worker.sandbox.simulator.faults import Fault, FaultBook
from worker.sandbox.simulator.keys import KeyStore, LastKey, TooManyCreates
from worker.sandbox.simulator.ledger import Ledger
from worker.sandbox.simulator.spoil import delivery, spoil
from worker.sandbox.wire import Request, Response

BASE = "/api/object-storage"
REGION = "eu-north-1"


@dataclass(frozen=True, slots=True)
class HostUpApi:
    """Answers requests to the API; ``handle`` is the handler of an HttpServer."""

    api_keys: ApiKeys
    s3_url: str
    keys: KeyStore
    ledger: Ledger
    behaviour: BehaviourBox
    faults: FaultBook
    usage: Callable[[], tuple[int, int, int]]
    """How many buckets, objects and bytes there are."""

    def handle(self, request: Request) -> Response:
        """Answer one request, or let an ordered fault have its way with it."""
        operation = _operation(request)
        released = self.faults.released  # before the call shows in the ledger: who has seen it there can release it
        number = self.ledger.call(operation, **_about(operation, request))
        call = ApiCall(number, str(uuid.uuid4()), _timestamp(), released)
        fault = self.faults.take(operation)
        if fault is None:
            answer = self._carry_out(operation, request, call)
        else:
            answer = self._with_fault(operation, request, call, fault)
        return replace(answer, sent=self._noting(operation, call, answer, fault))

    def _with_fault(self, operation: str, request: Request, call: ApiCall, fault: Fault) -> Response:
        if fault.effect_after:
            call.released.wait(fault.effect_after)
        honest = self._carry_out(operation, request, call) if fault.effect else Response(504)
        spoilt = spoil(honest, fault, call.request_id, call.timestamp)
        return replace(spoilt, delivery=delivery(fault, call.released))

    def _pause(self, call: ApiCall) -> None:
        if latency := self.behaviour.now.latency_ms:
            call.released.wait(latency / 1000)

    def _carry_out(self, operation: str, request: Request, call: ApiCall) -> Response:
        if not self._is_authorized(request):
            return call.error(401, "UNAUTHORIZED", "Missing or invalid API key")
        if operation in KEY_OPERATIONS:
            self._pause(call)
            return about_api_keys(operation, request, call, self.api_keys)
        match operation:
            case "create":
                return self._create(request, call)
            case "delete":
                return self._delete(request, call)
            case "status":
                return self._status(call)
        wrong_method = request.path == BASE or request.path.startswith(f"{BASE}/keys")
        no_page = (404, "NOT_FOUND", "Route not found")
        return call.error(*((405, "METHOD_NOT_ALLOWED", "Method not allowed") if wrong_method else no_page))

    def _is_authorized(self, request: Request) -> bool:
        """By ``X-API-Key`` (seed), or as a bearer token (support pages)."""
        given = request.headers.get("x-api-key", "")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not given and scheme.lower() == "bearer":
            given = token.strip()
        return self.api_keys.knows(given)

    def _create(self, request: Request, call: ApiCall) -> Response:
        label = _label(request)
        if not label:
            return call.error(400, "BAD_REQUEST", "label is required")
        try:
            with self.keys.creating():
                self._pause(call)  # in here, so that creates overlap as they do on a real gateway
                key = self.keys.create(label, call.number)
        except TooManyCreates:
            return call.error(500, "INTERNAL_ERROR", "An unexpected error occurred")
        return call.success(
            {"key": {"accessKey": key.access_key, "secretKey": key.secret_key, "label": key.label}},
        )

    def _delete(self, request: Request, call: ApiCall) -> Response:
        self._pause(call)
        name = self._named(_segment(request))
        if name is None:
            return call.error(400, "BAD_REQUEST", "The access key is not valid base64")
        try:
            found = self.keys.delete(name, call.number)
        except LastKey:
            return call.error(400, "BAD_REQUEST", "Cannot delete the last access key. Create a new key first.")
        if not found:
            return call.error(404, "NOT_FOUND", "Access key not found")
        return call.success({"deleted": True})

    def _named(self, segment: str) -> str | None:
        form = self.behaviour.now.delete_form
        decoded = _from_base64(segment)
        return segment if form == "plain" or (form == "both" and decoded is None) else decoded

    def _status(self, call: ApiCall) -> Response:
        self._pause(call)
        if not self.behaviour.now.provisioned:
            return call.success({"provisioned": False})
        buckets, objects, size = self.usage()
        return call.success(
            {
                "provisioned": True,
                "endpoint": self.s3_url,
                "awsRegion": REGION,
                "region": "sweden",
                "bucketCount": buckets,
                "keyCount": self.keys.count(),
                "tenant": {
                    "id": "sandbox",
                    "displayName": "Sandbox",
                    "status": "active",
                    "createdAt": "2026-01-01T00:00:00.000Z",
                    "quotaMaxSizeGB": 100,
                },
                "usage": {"numObjects": objects, "sizeBytes": size},
            },
        )

    def _noting(self, operation: str, call: ApiCall, answer: Response, fault: Fault | None) -> Callable[[bool], None]:
        body = answer.body[: answer.delivery.keep] if answer.raw is None else answer.raw
        delivered = b"" if answer.delivery.cut else body
        request_id = call.request_id if call.request_id.encode() in delivered else None

        def note(delivered: bool) -> None:  # noqa: FBT001 - what the server calls when it is through
            self.ledger.enter(
                "answer",
                call=call.number,
                operation=operation,
                status=answer.status,
                request_id=request_id,
                delivered=delivered,
                fault=(fault.name or fault.answer.value) if fault else None,
            )

        return note


def _operation(request: Request) -> str:
    match request.method, request.path.split("/")[1:]:
        case "POST", ["api", "object-storage", "keys"]:
            return "create"
        case "DELETE", ["api", "object-storage", "keys", segment] if segment:
            return "delete"
        case "GET", ["api", "object-storage"]:
            return "status"
        case "POST", ["api", "keys", key_id, "roll"] if key_id:
            return "roll_api_key"
        case "POST", ["api", "keys"]:
            return "create_api_key"
        case _:
            return "other"


def _about(operation: str, request: Request) -> dict[str, str]:
    match operation:
        case "create":
            return {"label": _label(request) or ""}
        case "delete":
            segment = _segment(request)
            return {"access_key": _from_base64(segment) or segment}
        case "roll_api_key":
            return {"key_id": unquote(request.path.split("/")[3])}
        case _:
            return {"method": request.method, "path": request.path}


def _segment(request: Request) -> str:
    return unquote(request.path.rpartition("/")[2])


def _label(request: Request) -> str | None:
    label = json_of(request).get("label")
    return label if isinstance(label, str) else None


def _from_base64(text: str) -> str | None:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
