"""What a message may be, checked before Celery sees it. Pure: bytes in, one of our own messages out, or a refusal.

Whoever can write to the queue can put anything there, and Celery ends its process over what it did not foresee
(docs/facts.md, "Celery on Redis"). So what lies on the queue is read here, within bounds, and Celery is handed a
message that is made anew from what was read: nothing else of the original is ever looked at, unpacked or obeyed.

The form is version 2 of Celery's task message, as every ``send_task`` of Celery 4 and later writes it.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, validate_call

LONGEST_ITEM = 131_072
"""Bytes of an item on the queue: room for a body in base64, and for headers."""

LONGEST_BODY = 65_536
LONGEST_ID = 64
LONGEST_TASK = 64
LONGEST_TARGET = 64
LONGEST_BY = 80
"""Characters of who asks that are kept."""

LONGEST_HEADER = 1_000
"""Characters of the header that says who asks, of which :data:`LONGEST_BY` are kept."""

REASON_LENGTH = 200
"""Characters of a reason that are kept."""

REQUEST = "rotator.rotate"
"""The task that asks for a rotation."""

UNKNOWN_TASK = "task"
"""The kind of refusal of a task that is not ours."""

_CONFIG = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)
T = TypeVar("T")


class Refused(Exception):
    """A message that is not taken. ``kind`` says what does not fit, in words of ours and never of the message's.

    ``task`` is its name where it is one that may be shown.
    """

    def __init__(self, kind: str, task: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.task = task


@dataclass(frozen=True, slots=True)
class Message:
    """A message that fits: a task of ours, its id, what it is called with, and after when it is worthless."""

    task: str
    id: str
    arguments: tuple[str | bool, ...] = ()
    expires: datetime | None = None

    def encode(self, queue: str) -> bytes:
        """As Celery takes it from that queue. The tag under which it is kept until it is acknowledged is a new one."""
        nothing = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
        body = json.dumps([list(self.arguments), {}, nothing]).encode()
        headers = {
            "lang": "py",
            "task": self.task,
            "id": self.id,
            "root_id": self.id,
            "parent_id": None,
            "group": None,
            "eta": None,
            "expires": self.expires.isoformat() if self.expires else None,
            "retries": 0,
            "timelimit": [None, None],
            "argsrepr": "",
            "kwargsrepr": "",
            "ignore_result": True,
        }
        properties = {
            "correlation_id": self.id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "delivery_tag": str(uuid.uuid4()),
            "priority": 0,
            "body_encoding": "base64",
        }
        item = {
            "body": base64.b64encode(body).decode(),
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": headers,
            "properties": properties,
        }
        return json.dumps(item).encode()


def read(item: bytes) -> Message:
    """Read what lay on the queue. Raises Refused."""
    if len(item) > LONGEST_ITEM:
        raise Refused("length")
    envelope = _validated(_ENVELOPE, item, "form")
    task = envelope.headers.task
    call = _TASKS.get(task)
    if call is None:
        raise Refused(UNKNOWN_TASK, task)
    arguments, options, _ = _validated(_BODY, _body(envelope), "body")
    try:
        said = _with_asker(task, call(*arguments, **options), envelope.headers.rotator_by)
        return Message(task, envelope.headers.id, said, _utc(envelope.headers.expires))
    except ValidationError:  # its places may be names out of the message
        raise Refused("arguments") from None


def _with_asker(task: str, said: tuple[str | bool, ...], by: str) -> tuple[str | bool, ...]:
    """Who asks, by the header where the message itself does not say it: programs may set that for all they send."""
    if task != REQUEST or not by or said[2:3] not in ((), ("",)):
        return said
    return (*said[:2], by[:LONGEST_BY], *said[3:])


def _plain(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    raise ValueError("must be printable")


def _encoding(text: str) -> str:
    if text.lower() == "utf-8":
        return text
    raise ValueError("must be UTF-8")


_Nothing = Annotated[list[Any], Field(max_length=0)] | None
"""What would have something else done, or done later: nothing such is done on behalf of a message."""


class _Headers(BaseModel):
    model_config = _CONFIG

    task: Annotated[str, Field(min_length=1, max_length=LONGEST_TASK), AfterValidator(_plain)]
    id: Annotated[str, Field(min_length=1, max_length=LONGEST_ID), AfterValidator(_plain)]
    eta: None = None
    expires: datetime | None = None
    timelimit: tuple[None, None] | None = None
    compression: Annotated[str, Field(max_length=0)] | None = None
    rotator_by: Annotated[str, Field(max_length=LONGEST_HEADER)] = ""


class _Properties(BaseModel):
    model_config = _CONFIG

    body_encoding: Literal["base64", "utf-8"] | None = None


class _Envelope(BaseModel):
    model_config = _CONFIG

    body: str
    content_type: Literal["application/json"] = Field(alias="content-type")
    content_encoding: Annotated[str, Field(max_length=5), AfterValidator(_encoding)] = Field(alias="content-encoding")
    headers: _Headers
    properties: _Properties


class _Embed(BaseModel):
    model_config = _CONFIG

    callbacks: _Nothing = None
    errbacks: _Nothing = None
    chain: _Nothing = None
    chord: None = None


_ENVELOPE: TypeAdapter[_Envelope] = TypeAdapter(_Envelope)
_BODY: TypeAdapter[tuple[list[Any], dict[str, Any], _Embed]] = TypeAdapter(
    tuple[list[Any], dict[str, Any], _Embed], config=ConfigDict(strict=True, hide_input_in_errors=True)
)


def _validated(form: TypeAdapter[T], text: bytes, kind: str) -> T:
    try:
        return form.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        places = [str(place) for place in first["loc"] if place in _PLACES]
        raise Refused(": ".join([".".join([kind, *places]), str(first["type"])])) from None


_PLACES = {
    *("body", "content-type", "content-encoding", "headers", "properties"),
    *_Headers.model_fields,
    *_Properties.model_fields,
    *_Embed.model_fields,
}
"""Names that may be shown, as they are ours."""


def _body(envelope: _Envelope) -> bytes:
    if envelope.properties.body_encoding != "base64":
        body = envelope.body.encode("utf-8", "surrogatepass")
    else:
        try:
            body = base64.b64decode(envelope.body, validate=True)
        except (binascii.Error, ValueError):
            raise Refused("body: no base64") from None
    if len(body) > LONGEST_BODY:
        raise Refused("body: length")
    return body


def _utc(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    try:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except OverflowError:
        raise Refused("form.headers.expires: out of range") from None


_TargetName = Annotated[str, Field(max_length=LONGEST_TARGET)]


@validate_call(config=ConfigDict(strict=True, hide_input_in_errors=True))
def _nothing() -> tuple[str, ...]:
    return ()


@validate_call(config=ConfigDict(strict=True, hide_input_in_errors=True))
def _target(target: _TargetName) -> tuple[str, ...]:
    return (target,)


@validate_call(config=ConfigDict(strict=True, hide_input_in_errors=True))
def _request(target: _TargetName, reason: str = "", by: str = "", leaked: bool = False) -> tuple[str | bool, ...]:  # noqa: FBT001, FBT002 - the order in which messages have them
    """What is not said is left out, so that workers of the release before take the message, too."""
    said = (target, reason[:REASON_LENGTH], by[:LONGEST_BY], leaked)
    return said if leaked else said[:3] if by else said[:2]


_TASKS: Mapping[str, Callable[..., tuple[str | bool, ...]]] = {
    "rotator.tick": _nothing,
    "rotator.audit": _nothing,
    "rotator.reconcile": _target,
    "rotator.watch": _target,
    REQUEST: _request,
}
"""Our tasks, by the name that messages call them, and what each is called with."""
