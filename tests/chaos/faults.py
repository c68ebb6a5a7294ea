"""Everything that can go wrong with one call, by name; each is an action of the proxy for a moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tests.actions import drip, redirect, truncate
from worker.sandbox.wire import Delivery, Response
from worker.selftest import actions
from worker.selftest.proxy import forward
from worker.selftest.script import Action, Exchange, Moment, Rule, Step
from worker.selftest.stand import Stand

NEVER = 60.0
"""Seconds; longer than any deadline of the worker's in these trials."""

HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
XML = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><RequestId>tx0-of-a-fault</RequestId></Error>'
S3_CODES = {403: "RequestTimeTooSkewed", 404: "NoSuchBucket", 429: "SlowDown", 500: "InternalError", 503: "SlowDown"}


@dataclass(frozen=True, slots=True)
class Fault:
    """``times``: so many calls of the step's kind are hit; -1: all, until it is lifted. ``lift`` ends what lasts."""

    name: str
    moment: Moment
    action: Callable[[Stand], Action]
    times: int = 1
    lift: Callable[[Stand], None] = lambda stand: stand.script.clear()

    def rule(self, stand: Stand, step: Step) -> Rule:
        return replace(Rule.at(step, self.moment, self.action(stand)), times=self.times)


HARD = frozenset(
    {
        "time-out",
        "connection cut",
        "cut after its effect",
        "late",
        "truncated",
        "500",
        "sealed",
        "token revoked",
        "another writer was first",
    }
)
"""What differs most from each other: for a call that has a row of its own already, made on another way."""


def faults_of(step: Step) -> Iterator[Fault]:
    """What can happen to a call of this service; a call that only reads has no effect that could be left behind."""
    yield Fault("time-out", Moment.BEFORE, lambda _: _answered(504, HTML, wait=NEVER))
    yield Fault("connection cut", Moment.BEFORE, lambda _: actions.cut())
    for status in (403, 404, 429, 500, 503):
        yield Fault(f"{status}", Moment.BEFORE, _refusing(step.service, status))
    yield Fault("502 with HTML", Moment.BEFORE, lambda _: _answered(502, HTML, ("Content-Type", "text/html")))
    yield Fault("late", Moment.AFTER, lambda _: actions.late(10.0))
    yield Fault("drip", Moment.AFTER, lambda _: drip(1.0))
    yield Fault("truncated", Moment.AFTER, lambda _: truncate())
    yield Fault("wrong types", Moment.AFTER, lambda _: actions.change(with_wrong_types))
    if step.method in ("POST", "DELETE"):
        yield Fault("cut after its effect", Moment.AFTER, lambda _: actions.cut())
        yield Fault("500 after its effect", Moment.AFTER, lambda _: refuse(step.service, 500))
    if step.service == "vault":
        yield from _of_vault(step)


def _of_vault(step: Step) -> Iterator[Fault]:
    yield Fault("sealed", Moment.BEFORE, lambda _: _vault_error(503, "Vault is sealed"), times=3)
    yield Fault("standby", Moment.BEFORE, lambda _: _vault_error(429, ""))
    yield Fault("performance standby", Moment.BEFORE, lambda _: _vault_error(473, ""))
    yield Fault("token revoked", Moment.BEFORE, lambda stand: lambda exchange: _revoke(stand, exchange))
    yield Fault("permission withdrawn", Moment.BEFORE, _withdraw, lift=_restore)
    yield Fault("redirect to another host", Moment.BEFORE, lambda stand: redirect(stand.simulator.url))
    if step.method == "POST" and "/data/" in step.path:
        yield Fault("another writer was first", Moment.BEFORE, lambda stand: lambda exchange: _write(stand, exchange))


def _refusing(service: str, status: int) -> Callable[[Stand], Action]:
    return lambda _: refuse(service, status)


def refuse(service: str, status: int) -> Action:
    """An error as this service words it."""
    headers = [("Retry-After", "1")] if status == 429 else []
    match service:
        case "vault":
            return _answered(status, json.dumps({"errors": [f"the fault's {status}"]}).encode(), *headers)
        case "s3":
            return _answered(status, XML.format(code=S3_CODES[status]).encode(), *headers)
        case _:
            error = {"code": "FAULT", "error": "A fault", "message": "Ordered", "requestId": f"of-a-fault-{status}"}
            return _answered(status, json.dumps(error).encode(), *headers)


def with_wrong_types(honest: Response) -> Response:
    """Numbers for texts, texts for numbers and booleans, lists for objects below the first level."""
    try:
        document = json.loads(honest.body)
    except ValueError:
        return replace(honest, body=b"<ListAllMyBucketsResult><Owner/></ListAllMyBucketsResult>")
    if not isinstance(document, dict):
        return replace(honest, body=b"7")
    return replace(honest, body=json.dumps({name: _wrong(value) for name, value in document.items()}).encode())


def _wrong(value: Any) -> Any:
    match value:
        case str():
            return 7
        case dict():
            return {name: _wrong(inner) for name, inner in value.items()}
        case None:
            return [None]
        case list():
            return {"no": "list"}
        case _:
            return "seven"


def _answered(status: int, body: bytes, *headers: tuple[str, str], wait: float = 0.0) -> Action:
    return lambda _: Response(status, body, headers, Delivery(wait=wait))


def _vault_error(status: int, text: str) -> Action:
    return _answered(status, json.dumps({"errors": [text] if text else []}).encode())


def _revoke(stand: Stand, exchange: Exchange) -> None:
    """For real: as when the token expired, or somebody revoked it."""
    token = exchange.request.headers.get("x-vault-token", "") if exchange.request else ""
    if token:
        stand.mount.vault.call("POST", "auth/token/revoke", {"token": token})


def _withdraw(stand: Stand) -> Action:
    """Leave the worker's role without any right."""
    return actions.call(lambda: stand.give_rights({"sys/nothing": ["deny"]}))


def _restore(stand: Stand) -> None:
    stand.script.clear()
    stand.give_rights(stand.rights)


def _write(stand: Stand, exchange: Exchange) -> None:
    """For real: the same document is written by somebody else a moment before.

    What stands there is written again where something does; else, as by another worker, what is about to be written.
    """
    request = exchange.request
    if request is None:
        return
    path = request.target.removeprefix("/v1/")
    _, there = stand.mount.vault.ask("GET", path)
    data: Mapping[str, Any] = there.get("data") or {}
    version = (data.get("metadata") or {}).get("version", 0)
    if data.get("data") and not path.endswith(("/app", "/copy")):
        body = json.dumps({"data": data["data"], "options": {"cas": version}}).encode()
        stand.mount.vault.call("POST", path, json.loads(body))
    else:
        forward(stand.vault.upstream, request)
