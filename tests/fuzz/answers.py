"""Answers over HTTP without a server: the product's own engine, on connections that are bytes in memory."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import httpcore

from tests.fuzz.mutations import mutated_bytes, mutated_json
from tests.wire import raw
from worker.adapters.http.backend import DeadlineBackend, DeadlineStream
from worker.adapters.http.engine import new_engine

T = TypeVar("T")
R = TypeVar("R")

NEXT = b"\n%%next%%\n"
"""Between two answers in one input."""

ODD_HEADERS = (
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate, gzip,,br",
    b"Content-Type: text/html",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Retry-After: nan",
    b"Retry-After: 1e400",
    b"Retry-After: \xd9\xa3",
    b"Retry-After: " + b"9" * 5000,
    b"Retry-After: Fri, 31 Dec 9999 23:59:59 -2359",
    b"Retry-After: Mon, 01 Jan 0001 00:00:00 +2359",
    b"X-RateLimit-Reset: 0001-01-01T00:00:00+23:59",
    b"X-RateLimit-Reset: 10000-01-01T00:00:00",
    b"x-amz-request-id: \x9b31m",
    b"cf-ray: 8f0a1b2c3d-ARN",
    b"Location: mailto:x",
    b"Set-Cookie: a=b",
    b": no name",
    b"a : blank",
    b" folded",
    b"X-Long: " + b"x" * 20_000,
    b"Connection: upgrade",
)
STATUSES = (
    *(100, 101, 199, 200, 201, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 405, 408, 409, 410, 412, 413),
    *(422, 429, 472, 473, 500, 501, 502, 503, 504, 599, 600, 999),
)

_LENGTH = re.compile(rb"(?i)(content-length: *)([0-9]+)")
_STATUS = re.compile(rb"\A(HTTP/[0-9.]+ )[0-9]+")


class Answers(DeadlineBackend):
    """Every connection gets the next answer, then its end; without any, no connection comes about."""

    def __init__(self) -> None:
        super().__init__(lambda _host, _port: ["127.0.0.1"])
        self.left: list[bytes] = []

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        del host, port
        if not self.left:
            raise httpcore.ConnectError(ConnectionRefusedError(111, "refused"))
        data = self.left.pop(0)
        return DeadlineStream(httpcore.MockStream([data[at : at + 60_000] for at in range(0, len(data), 60_000)]))


class Wired:
    """An engine on such connections."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.engine = new_engine(backend=self.answers)

    def will_get(self, data: bytes) -> None:
        """Have the calls from now on get these answers, each on a connection of its own."""
        self.engine.close()
        self.answers.left = data.split(NEXT)


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An honest answer, which ends the connection, so that the next call gets the next one."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return raw(status, body, {"Content-Type": "application/json", "Connection": "close", **named})


def mutated_answer(data: bytes, draw: random.Random, odd: tuple[object, ...] = ()) -> bytes:
    """One answer with one change: in its body, its head, its framing, or anywhere; its length mostly stays right."""
    head, gap, body = data.partition(b"\r\n\r\n")
    how = draw.randrange(20)
    if not gap or how < 3:
        return mutated_bytes(data, draw)
    if how < 5:
        lines = head.split(b"\r\n")
        lines.insert(draw.randrange(1, len(lines) + 1), draw.choice(ODD_HEADERS))
        head = b"\r\n".join(lines)
    elif how < 7:
        head = _STATUS.sub(rb"\g<1>%d" % draw.choice(STATUSES), head)
    elif how == 7:
        head = mutated_bytes(head, draw)
    elif how == 8:
        return _in_chunks(head, body, draw)
    elif body[:1] in b"{[":
        body = mutated_json(body.decode("utf-8", "replace"), draw, odd).encode("utf-8", "replace")
    else:
        body = mutated_bytes(body, draw)
    if draw.random() < 0.9:
        head = _LENGTH.sub(rb"\g<1>%d" % len(body), head)
    return head + gap + body


def _in_chunks(head: bytes, body: bytes, draw: random.Random) -> bytes:
    head = _LENGTH.sub(b"Transfer-Encoding: chunked", head)
    size = draw.choice((1, 7, 60, 5000))
    parts = [body[at : at + size] for at in range(0, len(body), size)][:3000]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    last = draw.choice(
        (b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"", b"-1\r\n\r\n", b"f" * 17 + b"\r\n", b"0;" + b"a=b;" * 500)
    )
    return head + b"\r\n\r\n" + framed + last


def mutated_conversation(
    data: bytes, draw: random.Random, operations: tuple[bytes, ...], odd: tuple[object, ...] = ()
) -> bytes:
    """A change to an input of the form: the operation, a line end, answers with :data:`NEXT` between them."""
    operation, _, rest = data.partition(b"\n")
    answers = rest.split(NEXT)
    how = draw.randrange(24)
    at = draw.randrange(len(answers))
    if how == 0:
        operation = draw.choice(operations)
    elif how == 1:
        answers.insert(at, answers[draw.randrange(len(answers))])
    elif how == 2 and len(answers) > 1:
        del answers[at]
    elif how == 3:
        draw.shuffle(answers)
    else:
        answers[at] = mutated_answer(answers[at], draw, odd)
    return operation + b"\n" + NEXT.join(answers)


def parted(data: bytes, calls: Mapping[bytes, Callable[[T], R]]) -> tuple[Callable[[T], R], bytes] | None:
    """The call that an input names, and its answers; None for an input that is none."""
    operation, _, rest = data.partition(b"\n")
    return (calls[operation], rest) if operation in calls else None
