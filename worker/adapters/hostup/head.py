"""The head of an answer, read with tolerance: the status, what the body is said to be, and what is wrong with its form.

HTTP readers give up on a head that is not quite in form, as they must: what a proxy and a server read differently can
be turned against both. Here nothing hangs on it: the head only says what to try first with the body.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

LONGEST_HEAD = 64 * 1024
"""Bytes of header lines that are looked at."""

MOST_INTERIM_HEADS = 32
"""Heads with a 1xx status before the answer's own."""

_WHERE_A_HEAD_BEGINS = 4096
_STATUS_LINE = re.compile(rb"(?:\A|(?<=\n))[ \t]*+HTTP/([0-9](?:\.[0-9])?)[ \t]++([1-9][0-9]{2})(?![0-9])")
_END_OF_LINE = re.compile(rb"\r?\n")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_LENGTH = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Head:
    """``end`` is where the body begins; ``length`` the Content-Length where that is one number, in bytes.

    ``codings`` are the words of Content-Encoding; ``wrong`` are phrases on the form.
    """

    status: int | None
    end: int
    length: int | None = None
    chunked: bool = False
    codings: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()


def read_head(raw: bytes) -> Head:
    """Read the head of the answer; heads with a 1xx status before it are passed over. Never fails."""
    at = 0
    for _ in range(MOST_INTERIM_HEADS):
        line = _STATUS_LINE.search(raw, at, at + _WHERE_A_HEAD_BEGINS)
        if line is None:
            return Head(None, at, wrong=("no status line",))
        status = int(line[2])
        end = _END_OF_HEAD.search(raw, line.end())
        if end is None:
            wrong = (*_wrong_with_start(raw[at : line.start()], line[1]), "a head without an end")
            return _with_headers(Head(status, len(raw), wrong=wrong), raw[line.end() :][:LONGEST_HEAD])
        if not httpx.codes.is_informational(status):
            wrong = _wrong_with_start(raw[at : line.start()], line[1])
            return _with_headers(Head(status, end.end(), wrong=wrong), raw[line.end() : end.start()][:LONGEST_HEAD])
        at = end.end()
    return Head(None, at, wrong=("no end to the heads with a 1xx status",))


def _wrong_with_start(before: bytes, version: bytes) -> tuple[str, ...]:
    text_before = ("text before the status line",) if before.strip() else ()
    return text_before if version in (b"1.1", b"1.0") else (*text_before, "a status line that is not of HTTP/1")


def _with_headers(head: Head, lines: bytes) -> Head:
    """The head with what its lines say; the first line is what stands behind the status."""
    wrong = list(head.wrong)
    if b"\n" in lines.replace(b"\r\n", b""):
        wrong.append("line ends without a carriage return")
    headers: dict[bytes, list[bytes]] = {}
    for line in _END_OF_LINE.split(lines)[1:]:
        name, colon, value = line.partition(b":")
        wrong.extend(_wrong_with_line(name, colon))
        headers.setdefault(name.strip().lower(), []).append(value.strip().lower())
    lengths = headers.get(b"content-length", [])
    transfer = b",".join(headers.get(b"transfer-encoding", []))
    chunked = b"chunked" in transfer
    wrong.extend(_wrong_with_framing(lengths, transfer, chunked=chunked))
    return Head(
        head.status,
        head.end,
        int(lengths[0]) if len(set(lengths)) == 1 and _LENGTH.fullmatch(lengths[0]) else None,
        chunked,
        tuple(_words(headers.get(b"content-encoding", []))),
        tuple(dict.fromkeys(wrong)),
    )


def _wrong_with_line(name: bytes, colon: bytes) -> Iterator[str]:
    if name[:1] in (b" ", b"\t"):
        yield "a header line that begins with a blank"
    elif not colon:
        yield "a header line without a colon"
    elif not name:
        yield "a header line without a name"
    elif name.rstrip() != name:
        yield "a blank before a colon"


def _wrong_with_framing(lengths: list[bytes], transfer: bytes, *, chunked: bool) -> Iterator[str]:
    if len(lengths) > 1:
        yield "two Content-Length lines" if len(set(lengths)) == 1 else "Content-Length lines that differ"
    if not all(_LENGTH.fullmatch(length) for length in lengths):
        yield "a Content-Length that is no number"
    if lengths and chunked:
        yield "Content-Length beside chunks"
    if transfer and transfer != b"chunked":
        yield "an odd Transfer-Encoding"


def _words(values: list[bytes]) -> Iterator[str]:
    words = (word.strip().decode("ascii", "replace") for value in values for word in value.split(b","))
    return (word.removeprefix("x-") for word in words if word not in ("", "identity"))
