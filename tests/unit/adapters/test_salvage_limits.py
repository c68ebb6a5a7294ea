"""What an answer can cost: 4 MiB made to be expensive, and bombs. Work is counted instead of timed."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from tests.unit.adapters.salvaging import ACCESS_KEY, LABEL, SECRET, body, head, secret_of, zeros
from worker.adapters.hostup.finding import MOST_DOCUMENTS
from worker.adapters.hostup.salvage import salvage

MOST = 4 * 1024 * 1024
MEMORY = 50 * 1000 * 1000
TEXTS = 5 * 3
"""Bodies that one answer can be, each in at most three charsets."""


def full(unit: bytes, size: int = MOST) -> bytes:
    return (unit * (size // len(unit) + 1))[:size]


ADVERSARIAL = {
    "braces": full(b"{"),
    "names": full(b'{"'),
    "objects": full(b'{"a":'),
    "arrays": head() + b'{"a":' + full(b"["),
    "empty objects": head() + b'{"a":[' + full(b"{},"),
    "access keys": full(b'"accessKey":"'),
    "the same access key": full(b'"accessKey":"AKIAEXAMPLE",'),
    "begun keys": full(b'"data":{"key":{"accessKey":"AKIAEXAMPLE","secretKey":"'),
    "keys of others": full(b'"data":{"key":{"accessKey":"AKIAEXAMPLE","secretKey":"0123456789abcdef","label":"x"}}'),
    "one text": b'{"a":"' + full(b"x"),
    "backslashes": b'{"a":"' + full(b"\\"),
    "blanks": b'"data"' + full(b" "),
    "braces and blanks": full(b"{ "),
    "chunks": head() + full(b"1\n{\n"),
    "interim heads": full(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "headers": b"HTTP/1.1 200 OK\r\n" + full(b"a:b\r\n"),
    "bytes that are no text": head() + full(b"\xff"),
    "wide characters": head() + "😀".encode() + full(b'{"a":"b"},'),
    "all bytes": full(bytes(range(256))),
    "begun streams": head() + full(b"\x1f\x8b\x08"),
    "streams": head() + full(gzip.compress(full(b"x"))),
    "gzip of one text": head() + gzip.compress(b'{"a":"' + full(b"x")),
}


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count the calls, of Python's functions and of C's, by name."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event.endswith("call"):
            calls[frame.f_code.co_name if event == "call" else event] += 1

    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@contextmanager
def measured() -> Iterator[list[int]]:
    """The most memory that was in use, in bytes."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_work_and_memory_are_bounded(name: str) -> None:
    raw = ADVERSARIAL[name][:MOST]
    with counted() as calls:
        found = salvage(raw, LABEL)
    assert found is None or found.secret_key is None
    assert calls["read_object"] <= TEXTS * 2 * MOST_DOCUMENTS
    assert calls.total() <= 0.75 * len(raw)
    with measured() as peak:
        salvage(raw, LABEL)
    assert peak[0] < MEMORY


@pytest.fixture(scope="module")
def bomb() -> bytes:
    return zeros(layers=3)


@pytest.mark.parametrize("lines", [(), ("Content-Encoding: gzip, gzip, gzip",)])
def test_a_bomb(bomb: bytes, lines: tuple[str, ...]) -> None:
    raw = head(*lines) + bomb
    assert len(raw) < 400
    with measured() as peak:
        assert salvage(raw, LABEL) is None
    assert peak[0] < MEMORY


def test_a_key_is_found_at_the_end_of_much_junk() -> None:
    junk = full(b"<p>{</p>\n", MOST - 4096)
    found = salvage(head() + junk + body(), LABEL)
    assert found is not None
    assert (found.access_key, secret_of(found)) == (ACCESS_KEY, SECRET)
