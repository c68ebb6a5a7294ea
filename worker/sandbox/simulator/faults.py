"""Faults to order: which calls they hit, whether the effect takes place, what is answered and how it is sent.

The parts are independent, so they can be combined at will; :data:`CATALOGUE` names the usual ones.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum

OPERATIONS = ("create", "delete", "status", "roll_api_key", "create_api_key", "s3", "*")
HANG = 3600.0
"""Seconds; longer than any client waits, and ended by ``release``."""


class FaultAnswer(StrEnum):
    """What is answered."""

    HONEST = "honest"
    ERROR = "error"
    """The API's documented error: ``{code, error, message, requestId, timestamp}``; for S3 its XML."""
    PROBLEM = "problem"
    """RFC 7807, as the API's v2 pages use it."""
    HTML = "html"
    """A gateway's page."""
    REDIRECT = "redirect"
    TRUNCATED = "truncated"
    """The first half of the honest answer, as if it were all of it."""
    GARBAGE = "garbage"
    """200 and bytes that mean nothing."""
    NOT_HTTP = "not-http"
    NOTICE = "notice"
    """The honest answer behind a text that some program put before it."""
    BAD_HEADER = "bad-header"
    """The honest answer with a header line that is none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One order. It skips ``skip`` matching calls, then hits ``times`` of them (-1: all), each with ``probability``."""

    operation: str
    """One of :data:`OPERATIONS`; ``*`` for any."""
    name: str = ""
    """How the ledger calls it."""
    times: int = 1
    skip: int = 0
    probability: float = 1.0
    seed: int = 0

    effect: bool = True
    """Whether the call is carried out at all."""
    effect_after: float = 0.0
    """Seconds until it is carried out, also when the client has gone meanwhile; ended by ``release``."""

    answer: FaultAnswer = FaultAnswer.HONEST
    status: int = 500
    code: str = "INTERNAL_ERROR"
    message: str = "An unexpected error occurred"
    with_request_id: bool = True
    retry_after: str = ""
    location: str = ""
    without: tuple[str, ...] = ()
    """Fields to leave out of an honest answer, such as ``data.key.secretKey``."""
    wrong: tuple[tuple[str, object], ...] = ()
    """Fields of an honest answer to put a wrong value into."""

    wait: float = 0.0
    """Seconds until the answer is sent; ended by ``release``."""
    interval: float = 0.0
    """Seconds between the single bytes of the answer."""
    keep: int | None = None
    """Bytes of the body after which the connection ends."""
    cut: bool = False
    """Reset the connection instead of answering."""


def _error(status: int, code: str, message: str) -> Fault:
    return Fault("*", answer=FaultAnswer.ERROR, effect=False, status=status, code=code, message=message)


def _html(status: int) -> Fault:
    return Fault("*", answer=FaultAnswer.HTML, effect=False, status=status)


_HONEST = Fault("*")
_INTERNAL = _error(500, "INTERNAL_ERROR", "An unexpected error occurred")
_LIMITED = replace(_error(429, "RATE_LIMITED", "Too many requests"), retry_after="2")
_LAST_KEY = _error(400, "BAD_REQUEST", "Cannot delete the last access key. Create a new key first.")

CATALOGUE: Mapping[str, Fault] = {
    name: replace(fault, name=name)
    for name, fault in {
        "timeout-before": replace(_html(504), wait=HANG),
        "timeout-after": replace(_HONEST, wait=HANG),
        "slow-effect": replace(_HONEST, effect_after=30.0),
        "cut-before": replace(_HONEST, effect=False, cut=True),
        "cut-after": replace(_HONEST, cut=True),
        "cut-in-body": replace(_HONEST, keep=20),
        "500-before": _INTERNAL,
        "500-after": replace(_INTERNAL, effect=True),
        "500-without-request-id": replace(_INTERNAL, with_request_id=False),
        "502": _html(502),
        "502-after": replace(_html(502), effect=True),
        "503": _html(503),
        "503-after": replace(_html(503), effect=True),
        "504": _html(504),
        "504-after": replace(_html(504), effect=True),
        "429": _LIMITED,
        "429-without-retry-after": replace(_LIMITED, retry_after=""),
        "400": _error(400, "BAD_REQUEST", "The request is not valid"),
        "400-last-key": _LAST_KEY,
        "401": _error(401, "UNAUTHORIZED", "Invalid API key"),
        "403": _error(403, "FORBIDDEN", "Cloud features require identity verification"),
        "404": _error(404, "NOT_FOUND", "Not found"),
        "problem-500": replace(_INTERNAL, answer=FaultAnswer.PROBLEM),
        "problem-422": replace(_error(422, "VALIDATION_ERROR", "The label is not valid"), answer=FaultAnswer.PROBLEM),
        "redirect": replace(_HONEST, effect=False, answer=FaultAnswer.REDIRECT, status=307),
        "truncated": replace(_HONEST, answer=FaultAnswer.TRUNCATED),
        "garbage": replace(_HONEST, answer=FaultAnswer.GARBAGE),
        "not-http": replace(_HONEST, answer=FaultAnswer.NOT_HTTP),
        "notice-before": replace(_HONEST, answer=FaultAnswer.NOTICE),
        "bad-header": replace(_HONEST, answer=FaultAnswer.BAD_HEADER),
        "wrong-label": replace(_HONEST, wrong=(("data.key.label", "the label of somebody else"),)),
        "wrong-type-data": replace(_HONEST, wrong=(("data", ["no", "object"]),)),
        "wrong-type-secret-key": replace(_HONEST, wrong=(("data.key.secretKey", 12345),)),
        "wrong-type-access-key": replace(_HONEST, wrong=(("data.key.accessKey", {"no": "string"}),)),
        "wrong-type-key-count": replace(_HONEST, wrong=(("data.keyCount", "many"),)),
        "wrong-type-request-id": replace(_HONEST, wrong=(("requestId", 7),)),
        "not-successful": replace(_HONEST, wrong=(("success", False),)),
        "without-secret-key": replace(_HONEST, without=("data.key.secretKey",)),
        "without-access-key": replace(_HONEST, without=("data.key.accessKey",)),
        "without-api-key": replace(_HONEST, without=("data.key",)),
        "without-key-id": replace(_HONEST, without=("data.key_id",)),
        "wrong-type-api-key": replace(_HONEST, wrong=(("data.key", 12345),)),
        "without-data": replace(_HONEST, without=("data",)),
        "without-request-id": replace(_HONEST, without=("requestId",)),
        "drip": replace(_HONEST, interval=1.0),
        "late": replace(_HONEST, wait=10.0),
    }.items()
}
"""Faults by name, for any operation; times and delays are meant to be replaced."""


def fault(name: str, operation: str, times: int = 1, skip: int = 0) -> Fault:
    """The fault of that name in :data:`CATALOGUE`, for an operation. Raises KeyError for an unknown name."""
    return replace(CATALOGUE[name], operation=operation, times=times, skip=skip)


@dataclass(slots=True)
class _Order:
    """An order with what is left of it; changes under the book's lock."""

    fault: Fault
    skip: int
    left: int
    dice: random.Random


class FaultBook:
    """The orders that are open, oldest first."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []
        self._lock = threading.Lock()
        self._released = threading.Event()

    def order(self, fault: Fault) -> None:
        """Take an order; raises ValueError for an operation that does not exist."""
        if fault.operation not in OPERATIONS:
            raise ValueError(f"unknown operation {fault.operation!r}; there are: {', '.join(OPERATIONS)}")
        dice = random.Random(fault.seed)  # noqa: S311 - repeatable faults, no secrets
        with self._lock:
            self._orders.append(_Order(fault, fault.skip, fault.times, dice))

    def take(self, operation: str) -> Fault | None:
        """The fault for the call that has just arrived, if any; at most one order is used up by a call."""
        with self._lock:
            for order in self._orders:
                if order.left and order.fault.operation in (operation, "*") and self._hits(order):
                    return order.fault
        return None

    def open(self) -> list[dict[str, object]]:
        """What is still to come, with ``left``."""
        with self._lock:
            return [{**asdict(order.fault), "left": order.left} for order in self._orders if order.left]

    def clear(self) -> None:
        """Forget all orders; calls that hang go on hanging until :meth:`release`."""
        with self._lock:
            self._orders.clear()

    @property
    def released(self) -> threading.Event:
        """Set by the next :meth:`release`."""
        with self._lock:
            return self._released

    def release(self) -> None:
        """End every wait that is under way; later ones wait anew."""
        with self._lock:
            self._released.set()
            self._released = threading.Event()

    @staticmethod
    def _hits(order: _Order) -> bool:
        if order.skip:
            order.skip -= 1
            return False
        if order.dice.random() >= order.fault.probability:
            return False
        order.left -= 1 if order.left > 0 else 0
        return True


def from_json(values: Mapping[str, object]) -> Fault:
    """Read a fault as the admin API takes it: its fields, or ``like`` with a name of the catalogue and what differs.

    Raises ValueError or TypeError for what is no fault.
    """
    given = dict(values)
    like = CATALOGUE.get(str(given.pop("like")), None) if "like" in given else Fault("")
    if like is None:
        raise ValueError(f"there is no such fault; there are: {', '.join(CATALOGUE)}")
    if unknown := set(given) - {field.name for field in fields(Fault)}:
        raise ValueError(f"unknown field of a fault: {', '.join(sorted(unknown))}")
    if "answer" in given:
        given["answer"] = FaultAnswer(str(given["answer"]))
    for name in {"without", "wrong"} & set(given):
        listed = given[name]
        if not isinstance(listed, list):
            raise TypeError(f"{name} is a list")
        given[name] = tuple(tuple(each) if isinstance(each, list) else each for each in listed)
    return replace(like, **given)  # type: ignore[arg-type]  # names were checked; a wrong type fails at its first use
