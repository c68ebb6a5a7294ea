"""The simulated object storage: who may come in, answered as Ceph's gateway was measured to answer (docs/facts.md)."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from worker.sandbox.simulator.behaviour import OWNER, BehaviourBox
from worker.sandbox.simulator.buckets import Buckets, S3Error
from worker.sandbox.simulator.faults import Fault, FaultBook
from worker.sandbox.simulator.keys import KeyStore, State
from worker.sandbox.simulator.ledger import Ledger
from worker.sandbox.simulator.sigv4 import Signature, matches, parse
from worker.sandbox.simulator.spoil import delivery, s3_error, spoil
from worker.sandbox.wire import Request, Response

_LONGEST_AGENT = 64

SKEW = timedelta(minutes=15)
ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """Whether a request may come in: ``code`` is the S3 error that refuses it, with its status."""

    access_key: str
    status: int = 200
    code: str = ""


@dataclass(frozen=True, slots=True)
class S3Api:
    """Answers requests to the object storage; ``handle`` is the handler of an HttpServer."""

    keys: KeyStore
    ledger: Ledger
    behaviour: BehaviourBox
    faults: FaultBook
    buckets: Buckets = field(default_factory=Buckets)
    _outcomes: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, request: Request) -> Response:
        """Answer one request, or let an ordered fault have its way with it."""
        request_id = f"tx{uuid.uuid4().hex[:21]}-sandbox-default"
        if latency := self.behaviour.now.s3_latency_ms:
            time.sleep(latency / 1000)
        verdict = self._judge(request)
        fault = self.faults.take("s3")
        if fault is None:
            answer = self._carry_out(request, verdict, request_id)
        else:
            answer = self._with_fault(request, verdict, request_id, fault)
        return self._noted(request, verdict, answer, fault)

    def _judge(self, request: Request) -> SignatureCheck:
        """The checks, in the order in which the gateway makes them."""
        if "authorization" not in request.headers:
            return SignatureCheck(ANONYMOUS)
        signature = parse(request.headers)
        if signature is None:
            return SignatureCheck("", 400, "InvalidArgument")
        name = signature.access_key
        if abs(signature.at - self._now()) > SKEW:
            return SignatureCheck(name, 403, "RequestTimeTooSkewed")
        state, secret = self.keys.look_up(name)
        if state is State.UNKNOWN:
            return SignatureCheck(name, 403, "InvalidAccessKeyId")
        if state is State.DENIED:
            return SignatureCheck(name, 403, "AccessDenied")
        return self._judge_signature(request, signature, secret)

    def _judge_signature(self, request: Request, signature: Signature, secret: str) -> SignatureCheck:
        name = signature.access_key
        if not matches(request, signature, secret):
            return SignatureCheck(
                name, 403, "InvalidAccessKeyId" if self.behaviour.now.blind else "SignatureDoesNotMatch"
            )
        if self.behaviour.now.suspended:
            return SignatureCheck(name, 403, "UserSuspended")
        if request.path == "/" and not self.behaviour.now.may_list:
            return SignatureCheck(name, 403, "AccessDenied")
        if not _body_is_signed(request):
            return SignatureCheck(name, 400, "XAmzContentSHA256Mismatch")
        return SignatureCheck(name)

    def _carry_out(self, request: Request, verdict: SignatureCheck, request_id: str) -> Response:
        try:
            answer = self._answer(request, verdict)
        except S3Error as error:
            return s3_error(error.status, error.code, request_id)
        return replace(answer, headers=(*answer.headers, ("x-amz-request-id", request_id)))

    def _answer(self, request: Request, verdict: SignatureCheck) -> Response:
        if verdict.code:
            raise S3Error(verdict.status, verdict.code)
        anonymous = verdict.access_key == ANONYMOUS
        if not anonymous:
            self.keys.used(verdict.access_key)
        if request.path != "/":
            if anonymous:
                raise S3Error(403, "AccessDenied")
            return self.buckets.answer(request)
        if request.method not in ("GET", "HEAD"):
            raise S3Error(405, "MethodNotAllowed")
        return self.buckets.listing(ANONYMOUS if anonymous else OWNER)

    def _with_fault(self, request: Request, verdict: SignatureCheck, request_id: str, fault: Fault) -> Response:
        released = self.faults.released
        if fault.effect_after:
            released.wait(fault.effect_after)
        honest = self._carry_out(request, verdict, request_id) if fault.effect else Response(504)
        return replace(
            spoil(honest, replace(fault, operation="s3"), request_id, ""), delivery=delivery(fault, released)
        )

    def _noted(self, request: Request, verdict: SignatureCheck, answer: Response, fault: Fault | None) -> Response:
        if not self._is_wanted(verdict):
            return answer
        about = {
            "operation": _operation(request),
            "access_key": verdict.access_key,
            "status": answer.status,
            "code": verdict.code or None,
            "accepted": not verdict.code and verdict.access_key != ANONYMOUS,
            "fault": (fault.name or fault.answer.value) if fault else None,
            "agent": request.headers.get("user-agent", "")[:_LONGEST_AGENT],
        }
        return replace(answer, sent=lambda delivered: self.ledger.enter("s3", **about, delivered=delivered))

    def _is_wanted(self, verdict: SignatureCheck) -> bool:
        wanted = self.behaviour.now.record_s3
        if wanted != "changes":
            return wanted == "all"
        with self._lock:
            before = self._outcomes.get(verdict.access_key)
            self._outcomes[verdict.access_key] = verdict.code
        return before != verdict.code

    def _now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.behaviour.now.clock_offset)


def _body_is_signed(request: Request) -> bool:
    hashed = request.headers["x-amz-content-sha256"]
    if hashed == "UNSIGNED-PAYLOAD" or hashed.startswith("STREAMING-"):
        return True
    return hashlib.sha256(request.body).hexdigest() == hashed


def _operation(request: Request) -> str:
    bucket, slash, key = request.path.lstrip("/").partition("/")
    kind = "object" if slash and key else "bucket" if bucket else "service"
    return f"{request.method} {kind}"
