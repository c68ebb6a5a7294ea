"""The leak webhook: a secret scanner's hit with a living key of ours begins leak mode.

It may come twice, and to two workers at once: a report goes on record under an id that is made of its webhook-id, which
the record takes once. Redis remembers only what was dealt with as a whole, so that a report is neither lost with the
worker that read it, nor taken again when somebody repeats it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

import structlog
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from worker.errors import QueueUnavailable, RotatorError
from worker.events import Event
from worker.notices.signing import NotSigned, signed_id, signing_secret
from worker.printable import printable
from worker.rotation.reconcile import accept
from worker.rotation.record import Record, Request, Why
from worker.secret import Secret
from worker.service.assemble import Runtime
from worker.service.http_door import Answer, HttpDoor, Telling
from worker.service.leak_report import Found, WrongForm, read_report
from worker.service.leaks import tried_now
from worker.service.tick import Send
from worker.settings.credential import Credential
from worker.settings.leak_webhook import SECRET_FILE

PATH = "/leaks"
BY = "leak webhook"
JSON = "application/json"

AGAIN_SECONDS = 5
"""After how long a sender is told to try again where something is away."""

HINT_SECONDS = 5.0
WINDOW_SECONDS = 60.0
TOLD_IN_A_WINDOW = 10
"""Lines about requests that are not taken; anybody who reaches the address can send such."""

IN_USE, STAGED = ("current", "in grace"), "staged"

TELLING = Telling(
    Event.WEBHOOK_SERVED,
    Event.WEBHOOK_UNAVAILABLE,
    "Another worker may have it, and takes reports as this one would; it is tried again all the time.",
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is answered about a key: whose it is, its state, and whether leak mode begins; or when to try again."""

    access_key: str
    target: str | None = None
    state: str | None = None
    begins: bool = False
    again_seconds: int = 0
    limited: bool = False

    def document(self) -> dict[str, object]:
        """For the sender."""
        ours = self.target is not None
        known = {"target": self.target, "state": self.state, "leak_mode": self.begins} if ours else {}
        return {"access_key": self.access_key, "ours": ours, **known}


def webhook_door(runtime: Runtime, send: Send) -> HttpDoor | None:
    """The door at which reports are taken; None where the settings name no address."""
    given = runtime.settings.leak_webhook
    if given.listen is None:
        return None
    secret = Credential(
        given.secret or Secret(""),
        given.secret_file,
        SECRET_FILE,
        parse=signing_secret,
        on_new=runtime.services.keep_secret,
    )
    return HttpDoor(given.listen, {}, {PATH: LeakWebhook(runtime, send, secret).answer}, TELLING)


class LeakWebhook:
    """Takes reports; may be used by many threads at once."""

    def __init__(self, runtime: Runtime, send: Send, secret: Credential) -> None:
        self._runtime = runtime
        self._send = send
        self._secret = secret
        self._refusals = _Refusals(runtime)

    def answer(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """What to answer to a request. Without a valid signature nobody is told anything."""
        try:
            sent_id = signed_id(self._secret.current(), headers, self._runtime.clock.now(), body)
        except NotSigned as refused:
            self._refusals.tell(str(refused), len(body))
            return Answer(HTTPStatus.UNAUTHORIZED, "")
        mark = hashlib.sha256(sent_id.encode()).hexdigest()[:32]
        try:
            found = read_report(body)
            if self._runtime.shared.deliveries.is_done(mark):
                return _json(HTTPStatus.OK, {"repeated": True, "keys": []})
            return self._taken(mark, found)
        except WrongForm as wrong:
            self._refusals.tell("it has another form than a report's", len(body))
            return _json(HTTPStatus.BAD_REQUEST, {"error": str(wrong)})
        except QueueUnavailable as error:
            _log.warning(Event.LEAK_REPORTED, report=mark, **error.fields())
            return _later(AGAIN_SECONDS)

    def _taken(self, mark: str, found: tuple[Found, ...]) -> Answer:
        """Put all on record that is to be, and remember it only then. Raises QueueUnavailable."""
        verdicts = [self._judged(mark, each) for each in found]
        document = {"repeated": False, "keys": [each.document() for each in verdicts]}
        again = max(each.again_seconds for each in verdicts)
        if again:
            limited = any(each.limited for each in verdicts)
            status = HTTPStatus.TOO_MANY_REQUESTS if limited else HTTPStatus.SERVICE_UNAVAILABLE
            return _json(status, document, {"Retry-After": str(again)})
        self._runtime.shared.deliveries.done(mark)
        return _json(HTTPStatus.ACCEPTED if any(each.begins for each in verdicts) else HTTPStatus.OK, document)

    def _judged(self, mark: str, found: Found) -> Verdict:
        """Raises QueueUnavailable."""
        try:
            return self._begun(mark, found)
        except QueueUnavailable:
            raise
        except RotatorError as error:  # Vault, or the record: the sender tries again, and a person reads of it
            _log.warning(Event.LEAK_REPORTED, report=mark, access_key=found.access_key, **error.fields())
            return Verdict(found.access_key, again_seconds=AGAIN_SECONDS)

    def _begun(self, mark: str, found: Found) -> Verdict:
        """Raises QueueUnavailable, RecordError, VaultError, TryAgainLater."""
        runtime, access_key = self._runtime, found.access_key
        name = self._owner(access_key)
        record = runtime.services.store.load(name, "").record if name else None
        state = _state(record, access_key) if record else None
        if name is None or record is None or state is None:
            return Verdict(access_key, name, "gone" if name else None)
        target = runtime.settings.targets.get(name)
        if target is None or state not in IN_USE:
            self._call_a_person(mark, found, name, state)
            return Verdict(access_key, name, state, again_seconds=AGAIN_SECONDS if state == STAGED and target else 0)
        now, per_hour = runtime.clock.now(), runtime.settings.worker.messages_per_hour
        if not record.leaked and (until := runtime.shared.deliveries.too_many_until(name, mark, now, per_hour)):
            self._tell(mark, found, name, state, error=LIMITED.format(per_hour), hint=BY_HAND.format(name))
            return Verdict(access_key, name, state, again_seconds=_seconds_until(until, now), limited=True)
        reason = printable(found.where) or "a secret scanner found the key"
        accept(runtime.services, target, Request(id=f"leak-{mark}", reason=reason, at=now, leaked=True), BY)
        tried_now(runtime, target)
        self._tell(mark, found, name, state, hint=BEGUN)
        self._wake(name)
        return Verdict(access_key, name, state, begins=True)

    def _owner(self, access_key: str) -> str | None:
        """By the document of the key; by the index where Vault had none written, if it names a target of ours.

        Whole histories are not read.
        """
        owner = self._runtime.services.store.claims.owner(access_key)
        if owner:
            return owner.target
        hint = self._runtime.shared.index.target_of(access_key)
        return hint if hint in self._runtime.settings.targets else None

    def _call_a_person(self, mark: str, found: Found, target: str, state: str) -> None:
        if state != "deleted":
            self._tell(mark, found, target, state, error=NOT_BEGUN, hint=f"See `rotator find {found.access_key}`.")

    def _tell(self, mark: str, found: Found, target: str, state: str, **words: str) -> None:
        where = printable(found.where[:200])
        known = {"access_key": found.access_key, "state": state, "where": where, "by": BY}
        _log.warning(Event.LEAK_REPORTED, target=target, report=mark, **known, **words)

    def _wake(self, target: str) -> None:
        self._runtime.shared.due.wake(target)
        with suppress(OperationalError, RedisError, OSError):  # the next tick finds it
            self._send("rotator.reconcile", args=[target], expires=HINT_SECONDS, retry=False)


class _Refusals:
    """A line for each request that is not taken, as long as they are few."""

    def __init__(self, runtime: Runtime) -> None:
        self._clock = runtime.clock
        self._began = -math.inf
        self._told = 0

    def tell(self, why: str, length: int) -> None:
        now = self._clock.monotonic()
        if now - self._began >= WINDOW_SECONDS:
            self._began, self._told = now, 0
        self._told += 1
        if self._told <= TOLD_IN_A_WINDOW:
            more = {"more": "further ones within this minute are not told"} if self._told == TOLD_IN_A_WINDOW else {}
            _log.warning(Event.WEBHOOK_REFUSED, error=why, length=length, hint=NOT_TAKEN, **more)


def _state(record: Record, access_key: str) -> str | None:
    """What a key is on record as; None for one that is not there any more, or never was."""
    if record.current and record.current.access_key == access_key:
        return "deleted" if record.was_killed(access_key) else "current"
    if record.rotation and record.rotation.key and record.rotation.key.access_key == access_key:
        return STAGED
    for key in record.retiring:
        if key.access_key == access_key:
            return "deleted" if key.deleted_at else "in grace" if key.why is Why.REPLACED else "retiring"
    return None


def _json(status: HTTPStatus, document: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json.dumps(document) + "\n", JSON, headers or {})


def _later(seconds: int) -> Answer:
    return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "try again later"}, {"Retry-After": str(seconds)})


def _seconds_until(moment: datetime, now: datetime) -> int:
    return max(1, math.ceil((moment - now).total_seconds()))


BEGUN = "The key is replaced, and every key of the target that apps may have read is deleted at once."
NOT_BEGUN = "a secret scanner found a key that no rotation would replace"
LIMITED = "reports have begun {} rotations within an hour, and no further one is begun"
BY_HAND = "The sender tries again. To replace it now: `rotator rotate {} --leaked`."
NOT_TAKEN = "Nothing was done. Who reports leaks signs with ROTATOR_LEAK_WEBHOOK_SECRET, and has a clock that is right."
