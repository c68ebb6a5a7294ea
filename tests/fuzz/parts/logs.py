"""What is logged: any text from outside in any field, on its way through redaction to one line."""

from __future__ import annotations

import io
import json
import logging
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import structlog

from tests.fuzz.mutations import mutated_json
from tests.fuzz.part import Part
from worker.logs.redaction import Redactor
from worker.logs.setup import Mode, configure
from worker.secret import Secret

PLANTED = "planted+secret/of_the=fuzz"
LARGEST = 256 * 1024
"""Bytes. What comes from outside is bounded before it is logged."""

PASSWORD = "planted-password-of-the-fuzz"
_ODD = (
    "://" * 3000,
    "://" * 40_000,
    PLANTED,
    f"before{PLANTED}behind",
    f"://{PASSWORD}@host",
    f'secretKey\\": \\"{PLANTED}',
    {"secretKey": PLANTED},
    {"a": {"x-vault-token": PLANTED}},
    "token=" * 2000,
    "secret_" * 2000 + "x",
    '"secret' * 2000,
    "Bearer " * 2000,
    "hvs." * 4000,
    "\\" * 5000 + '"',
    "api" + "-" * 5000 + "key",
    " " * 20000,
)


class _OddLine(Exception):
    """What came out is not one line that a terminal or a reader of JSON takes."""


def _seeds() -> Sequence[bytes]:
    events = (
        {"event": "key.created", "target": "media", "access_key": "AKIA", "request_id": "2121ae20-bd9d-41e9-aeeb-5dd1"},
        {"event": "task.refused", "task": "rotator.rotate", "error": "no target", "hint": "See `rotator status`."},
        {"event": "target.failed", "error": f"redis://:{PASSWORD}@h: {PLANTED}", "kind": "HostUpRefused", "count": 3},
        {"event": "x", "headers": {"Authorization": f"Bearer {PLANTED}"}, "list": [1, {"secret_key": PLANTED}, None]},
        {"event": f"Connected to redis://:{PASSWORD}@127.0.0.1:6379/0", "secrets": [PLANTED] * 3, "token": PLANTED},
    )
    return [json.dumps(event).encode() for event in events]


def _mutate(data: bytes, draw: random.Random) -> bytes:
    return mutated_json(data.decode("utf-8", "replace"), draw, _ODD).encode("utf-8", "replace")


def _run(data: bytes) -> Iterator[str]:
    if len(data) > LARGEST:
        return
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(fields, dict):
        return
    for mode in ("json", "console"):
        yield _line(fields, mode)


def _line(fields: Mapping[str, Any], mode: Mode) -> str:
    """What stands in the log of one of our own events, and of a library's line with the same text."""
    stream = io.StringIO()
    configure(mode, stream, Redactor((Secret(PLANTED), Secret(PASSWORD))))
    more = {name: value for name, value in fields.items() if name not in ("event", "level", "exc_info")}
    structlog.get_logger("worker.fuzz").warning(str(fields.get("event")), **more)
    logging.getLogger("celery.fuzz").warning("got %s", fields)
    text = stream.getvalue()
    lines = [json.loads(line) for line in text.splitlines()] if mode == "json" else text.split("\n")[:-1]
    if len(lines) != 2:
        raise _OddLine(f"{len(lines)} lines instead of two: {text[:500]!r}")
    return text


PART = Part("logs", _seeds, _mutate, _run, share=2500, secrets=(PLANTED, PASSWORD))
