"""What a fault makes of an honest answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from xml.sax.saxutils import escape

from worker.sandbox.simulator.faults import Fault, FaultAnswer
from worker.sandbox.wire import Delivery, Response, reason

JSON = ("Content-Type", "application/json; charset=utf-8")
XML = ("Content-Type", "application/xml")
GARBAGE = bytes(range(256)) * 2
NOTICE = b"<br />\n<b>Notice</b>: Undefined index: {id} in <b>/srv/api.php</b> on line <b>7</b><br />\n"


def api_error(status: int, code: str, message: str, request_id: str | None, timestamp: str) -> Response:
    """The API's documented error (pages "Create a key", "Errors and limits")."""
    return json_response(
        status,
        {
            "code": code,
            "error": reason(status),
            "message": message,
            **({"requestId": request_id} if request_id else {}),
            "timestamp": timestamp,
        },
    )


def s3_error(status: int, code: str, request_id: str, message: str = "") -> Response:
    """An S3 error as Ceph's gateway writes it."""
    text = f"<Message>{escape(message)}</Message>" if message else ""
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code>{text}'
        f"<RequestId>{request_id}</RequestId><HostId>sandbox-default</HostId></Error>"
    )
    return Response(status, body.encode(), (XML, ("x-amz-request-id", request_id)))


def json_response(status: int, body: Mapping[str, object], *headers: tuple[str, str]) -> Response:
    """An answer in JSON."""
    return Response(status, json.dumps(body).encode(), (JSON, *headers))


def spoil(honest: Response, fault: Fault, request_id: str, timestamp: str) -> Response:
    """Turn the honest answer (made up, if there was no effect) into the one that the fault asks for."""
    answer = _answer(honest, fault, request_id, timestamp)
    limits = _limits(fault, timestamp) if fault.status == 429 and fault.answer in _ERRORS else ()  # noqa: PLR2004
    return replace(answer, headers=(*answer.headers, *limits))


def delivery(fault: Fault, released: threading.Event) -> Delivery:
    """How the fault wants the answer sent; ``released`` ends its waiting."""
    return Delivery(fault.wait, released, fault.interval, fault.keep, fault.cut)


_ERRORS = (FaultAnswer.ERROR, FaultAnswer.PROBLEM, FaultAnswer.HTML, FaultAnswer.REDIRECT)


def _answer(honest: Response, fault: Fault, request_id: str, timestamp: str) -> Response:
    if fault.answer in _ERRORS:
        return _refusal(fault, request_id, timestamp)
    match fault.answer:
        case FaultAnswer.TRUNCATED:
            answer = replace(honest, body=honest.body[: len(honest.body) // 2])
        case FaultAnswer.GARBAGE:
            answer = replace(honest, status=200, body=GARBAGE)
        case FaultAnswer.NOT_HTTP:
            answer = replace(honest, raw=GARBAGE)
        case FaultAnswer.NOTICE:
            answer = replace(honest, body=NOTICE + honest.body)
        case FaultAnswer.BAD_HEADER:
            answer = replace(honest, raw=_with_bad_header(honest))
        case _:
            answer = replace(honest, body=_edited(honest.body, fault)) if fault.without or fault.wrong else honest
    return answer


def _with_bad_header(honest: Response) -> bytes:
    lines = (
        f"HTTP/1.1 {honest.status} {reason(honest.status)}",
        "X-Powered-By PHP",
        f"Content-Length: {len(honest.body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + honest.body


def _refusal(fault: Fault, request_id: str, timestamp: str) -> Response:
    shown = request_id if fault.with_request_id else None
    match fault.answer:
        case FaultAnswer.PROBLEM:
            return _problem(fault, shown, timestamp)
        case FaultAnswer.HTML:
            return Response(fault.status, _page(fault.status), (("Content-Type", "text/html"),))
        case FaultAnswer.REDIRECT:
            return Response(fault.status, b"", (("Location", fault.location),))
        case _ if fault.operation == "s3":
            return s3_error(fault.status, fault.code, request_id, fault.message)
        case _:
            return api_error(fault.status, fault.code, fault.message, shown, timestamp)


def _problem(fault: Fault, request_id: str | None, timestamp: str) -> Response:
    body: dict[str, object] = {
        "type": f"https://developer.hostup.se/errors/{fault.code.lower()}",
        "title": reason(fault.status),
        "status": fault.status,
        "detail": fault.message,
        "code": fault.code,
        "instance": "/api/object-storage",
        **({"requestId": request_id} if request_id else {}),
        "timestamp": timestamp,
    }
    return Response(fault.status, json.dumps(body).encode(), (("Content-Type", "application/problem+json"),))


def _limits(fault: Fault, timestamp: str) -> tuple[tuple[str, str], ...]:
    """The headers of page "Errors and limits"; the reset time is only roughly right, as nothing should rely on it."""
    after = (("Retry-After", fault.retry_after),) if fault.retry_after else ()
    return (
        *after,
        ("X-RateLimit-Limit", "60"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", timestamp),
    )


def _edited(body: bytes, fault: Fault) -> bytes:
    try:
        document: dict[str, Any] = json.loads(body)
    except ValueError:
        return body  # nothing to edit in what is not JSON
    for path in fault.without:
        if (parent := _parent(document, path)) is not None:
            parent.pop(path.rpartition(".")[2], None)
    for path, value in fault.wrong:
        if (parent := _parent(document, path)) is not None:
            parent[path.rpartition(".")[2]] = value
    return json.dumps(document).encode()


def _parent(document: dict[str, Any], path: str) -> dict[str, Any] | None:
    parent: Any = document
    for name in path.split(".")[:-1]:
        parent = parent.get(name) if isinstance(parent, dict) else None
    return parent if isinstance(parent, dict) else None


def _page(status: int) -> bytes:
    title = f"{status} {reason(status)}"
    return f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>".encode()
