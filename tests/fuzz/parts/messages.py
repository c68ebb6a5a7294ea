"""What lies on the queue, read before Celery sees it; and what a message that is taken becomes."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Sequence

from tests.fuzz.mutations import mutated_bytes, mutated_json
from tests.fuzz.part import Part
from tests.hostile import CANARY, SHAPES, body, embed, item, message
from worker.service.message import LONGEST_BY, LONGEST_ID, LONGEST_TARGET, REASON_LENGTH, Message, Refused, read

QUEUE = "hostup-rotator"
LONGEST_KIND = 120


class _OddMessage(Exception):
    """A message was taken that is none of ours, or refused in words that nobody can read."""


def _seeds() -> Sequence[bytes]:
    tasks = ("rotator.rotate", "rotator.reconcile", "rotator.tick", "rotator.audit", "rotator.watch")
    honest = [item(message(task=task)) for task in tasks]
    plain = message()
    plain["body"] = json.dumps([["media", "leaked"], {}, embed()])
    plain["properties"]["body_encoding"] = None
    ours = Message("rotator.rotate", "one-request", ("media", "leaked")).encode(QUEUE)
    return [*honest, *honest, item(plain), ours, *SHAPES.values()]


def _mutate(data: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.3:
        return _with_changed_body(data, draw)
    odd = (CANARY, {"reason": CANARY}, [CANARY], "application/x-python-serialize", "base64", "gzip", [None, 1])
    return mutated_json(data.decode("utf-8", "replace"), draw, odd).encode("utf-8", "replace")


def _with_changed_body(data: bytes, draw: random.Random) -> bytes:
    """The same message with a change in what its body holds."""
    try:
        document = json.loads(data)
        inner = base64.b64decode(document["body"])
    except (ValueError, RecursionError, TypeError, KeyError):
        return mutated_bytes(data, draw)
    odd = ("media", CANARY, {"target": "media"}, {"callbacks": [CANARY]})
    changed = mutated_json(inner.decode("utf-8", "replace"), draw, odd).encode("utf-8", "replace")
    document["body"] = base64.b64encode(changed).decode()
    return item(document) if draw.random() < 0.9 else item({**document, "body": body(CANARY)})


def _run(data: bytes) -> Iterator[str]:
    try:
        taken = read(data)
    except Refused as refused:
        if not (0 < len(refused.kind) <= LONGEST_KIND and refused.kind.isprintable() and refused.task.isprintable()):
            raise _OddMessage(repr(refused)) from None
        yield refused.kind
        return
    within = len(taken.id) <= LONGEST_ID and all(
        len(text) <= most
        for text, most in zip(taken.arguments, (LONGEST_TARGET, REASON_LENGTH, LONGEST_BY), strict=False)
        if isinstance(text, str)
    )
    if not within or not taken.task.startswith("rotator."):
        raise _OddMessage(repr(taken))
    if read(taken.encode(QUEUE)) != taken:
        raise _OddMessage(f"{taken!r} is not what comes of it")


PART = Part("messages", _seeds, _mutate, _run, share=5000, secrets=(CANARY,))
