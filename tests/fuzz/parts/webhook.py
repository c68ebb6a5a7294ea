"""What anybody may send to the leak webhook: signatures of every form, and reports that are signed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from tests.fuzz.limits import seen
from tests.fuzz.mutations import mutated_bytes, mutated_json
from tests.fuzz.part import Part
from tests.records import NOW
from tests.reports import SECRET, body_of, headers
from worker.notices.signing import NotSigned, signed_id
from worker.secret import Secret
from worker.service.leak_report import WrongForm, read_report

_GAP = b"\n\n"
_BODIES = (
    body_of("AKIAONE", "AKIATWO", where="https://example.com/a"),
    body_of("AKIAONE"),
    b'[{"token": "AKIAONE", "type": "hostup", "url": "https://x", "source": "content"}]',
)


def _seeds() -> Sequence[bytes]:
    return [_input(headers(body, sent_id="one", at=NOW.timestamp()), body) for body in _BODIES]


def _input(head: dict[str, str], body: bytes) -> bytes:
    return "\n".join(f"{name}: {value}" for name, value in head.items()).encode() + _GAP + body


def _mutate(data: bytes, draw: random.Random) -> bytes:
    head, gap, body = data.partition(_GAP)
    if draw.random() < 0.4:
        return mutated_bytes(head, draw) + gap + body
    odd = ("AKIAONE" * 40, {"token": "AKIAONE"}, ["AKIAONE"] * 101, "\x1b[2J")
    return head + gap + mutated_json(body.decode("utf-8", "replace"), draw, odd).encode("utf-8", "replace")


def _run(data: bytes) -> Iterator[str]:
    head, _, body = data.partition(_GAP)
    lines = [line.partition(": ") for line in head.decode("latin-1").split("\n")]
    try:
        yield signed_id(Secret(SECRET), {name: value for name, _, value in lines}, NOW, body)
    except NotSigned as refused:
        yield str(refused)
    try:
        yield from seen(lambda: read_report(body) and "")
    except WrongForm as wrong:
        yield str(wrong)


PART = Part("webhook", _seeds, _mutate, _run, share=2500, secrets=(SECRET,))
