"""No regular expression of this package takes much longer than its text is longer, whatever the text."""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest

import worker
from worker.logs.redaction import Redactor
from worker.secret import Secret

SHORT, FACTOR = 1_000, 8
WORST = 24.0
"""How much longer a text that is so much longer may take; a pattern that begins anew everywhere takes 64 times."""

NOTICED = 0.02
"""Seconds of CPU below which nothing is measured."""

AT_A_PLACE = {f"worker.adapters.hostup.lenient.{name}" for name in ("_TOKEN", "_BEGUN_STRING", "_BEGUN_WORD")}
"""Patterns that are only ever tried where the reader stands, not searched for."""

LENGTHS_FIRST = {"worker.adapters.hostup.finding._OTHER_SPELLING"}
"""Patterns that only see a text that is short enough."""

ATOMS = (
    *("://", "a", "0", "A", " ", "\t", "\\", '"', "'", "=", ":", "-", "_", ".", "/", "@", "{", "}", "[", ",", ";", "%"),
    *("\r\n", "\n", "a.", "a-", "a/", "0-", "s.", "hvs.", "token", "token:", "token=", 'secret"', "secret_", "Bearer "),
    *("Bearer", "http://", "https://a", "HTTP/1.1 ", "<", "<a>", "&", '"a', '\\"', "\\u", "{a", "00000000-", "é", "\0"),
    *('{"data":', '"accessKey":', '"accessKey" ', "auth/approle/role/", "12:00-13:00 ", "1d", "{target}"),
)


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    for module in pkgutil.walk_packages(worker.__path__, "worker."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{module.name}.{name}", value


PATTERNS = dict(patterns())


def seconds(name: str, text: str) -> float:
    """CPU that it takes to look through a text in every way that the pattern is used; the least of three."""
    pattern = PATTERNS[name]
    subject = text.encode() if isinstance(pattern.pattern, bytes) else text
    taken = []
    for _ in range(3):
        began = time.process_time()
        pattern.match(subject)
        if name not in AT_A_PLACE:
            pattern.fullmatch(subject)
            for _ in pattern.finditer(subject):
                pass
        taken.append(time.process_time() - began)
        if taken[-1] < NOTICED:
            break
    return min(taken)


def grown(atom: str, end: str, times: int) -> str:
    return atom * (SHORT * times // len(atom)) + end


def test_the_patterns_of_the_package_are_found() -> None:
    assert len(PATTERNS) > 30
    assert PATTERNS.keys() >= AT_A_PLACE | LENGTHS_FIRST


@pytest.mark.parametrize("name", sorted(PATTERNS.keys() - LENGTHS_FIRST))
def test_a_pattern_takes_time_by_the_length_of_the_text(name: str) -> None:
    for atom, end in product(ATOMS, ("", "\0", "@")):
        long = seconds(name, grown(atom, end, FACTOR))
        if long > NOTICED:
            assert long < WORST * max(seconds(name, grown(atom, end, 1)), NOTICED / WORST), (atom, end)


@pytest.mark.parametrize("atom", ATOMS)
def test_so_does_what_keeps_secrets_out_of_logs(atom: str) -> None:
    """The id that froze a worker for seconds was ``://`` 40,000 times."""
    redactor = Redactor([Secret("a-secret-of-the-worker")])
    text = atom * (120_000 // len(atom))
    began = time.process_time()
    redactor(None, "info", {"event": "task.refused", text: text, "nested": [{text: text}]})
    assert time.process_time() - began < 2.0
