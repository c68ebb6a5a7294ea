"""What is done to an honest value: cut, doubled, wrong types, huge, deep, and texts that nobody honest would send."""

from __future__ import annotations

import gzip
import json
import random
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any

ODD_TEXTS = (
    "",
    " ",
    "\x00",
    "a\x00b",
    "\ud800",
    "x\udfff\ud800",
    "\u202e\u2066gnp.exe",
    "\x1b]0;owned\x07",
    "\x9b31m",
    "\x85\u2028\u2029",
    "line\r\nnext: line",
    "\U0001d518\u2713 \u00e9",
    "../../etc/passwd",
    "%00%2e%2e/%s%n{}{0.__class__}",
    "://",
    "0",
    "-1",
    "1e999",
    "nan",
    "inf",
    "true",
    "null",
    "9" * 5000,
    "s." * 40,
)
MOMENTS = (
    "0001-01-01T00:00:00+00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59.999999+00:00",
    "9999-12-31T23:59:59-23:59",
    "1969-12-31T23:59:59Z",
    "2026-11-24T12:00:00",
    "2026-02-30T12:00:00Z",
    "2026-11-24T12:00:00.123456789Z",
    "2026-W48-2T12:00",
    "2026-11-24T24:00:00Z",
    "2026-11-24T12:00:60Z",
    "20261124T120000Z",
)
NUMBERS = (0, -1, 1, 2, 2**31, 2**53 + 1, 2**63, -(2**64), 10**18, 10**400, 0.5, 1e308, float("nan"), float("-inf"))
JUNK = (
    b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"\\u", b"\\ud800", b",", b":", b"null", b"NaN", b"-Infinity", b"1e999",
    b"\0", b"\r\n", b"\n\n", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xc0\x80", b"\xed\xa0\x80", b"\x1f\x8b\x08",
    b"<", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"<![CDATA[", b"?>", b"=", b"#", b"[[", b"]]",
    b'"""', b"://", b"@", b"%",
    b"\x1b[2J", b"\xc2\x9b31m", b"\xe2\x80\xae", b"{}" * 40, b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n",
)  # fmt: skip

_ODD_CHARACTERS = (0, 9, 10, 32, 34, 92, 127, 0x9B, 0xD800, 0x202E, 0x1F600)
_DEEP, _LONG_NUMBER, _MANY = "raw-deep-", "raw-number-", "raw-many-"
_RAW = re.compile(rf'"({_DEEP}|{_LONG_NUMBER}|{_MANY})([0-9]+)"')
_MEMBER = re.compile(r'"(?:[^"\\]|\\.){0,40}"\s*:\s*')


def mutated_bytes(data: bytes, draw: random.Random) -> bytes:
    """One change to bytes of any kind."""
    at, to = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
    before, middle, behind = data[:at], data[at:to], data[to:]
    return draw.choice(_CHANGES_TO_BYTES)(before, middle, behind, draw)


def _repeated(before: bytes, middle: bytes, behind: bytes, draw: random.Random) -> bytes:
    near = middle[: draw.choice((1, 2, 8, 40))] or b"a"
    return before + near * _times(draw, 40_000 // len(near)) + middle + behind


_CHANGES_TO_BYTES: Sequence[Callable[[bytes, bytes, bytes, random.Random], bytes]] = (
    lambda before, middle, behind, draw: before,
    lambda before, middle, behind, draw: before + behind,
    lambda before, middle, behind, draw: before + middle + middle + behind,
    lambda before, middle, behind, draw: before + draw.choice(JUNK) + middle + behind,
    lambda before, middle, behind, draw: before + draw.choice(JUNK) + behind,
    lambda before, middle, behind, draw: before + bytes([draw.randrange(256)]) + middle[1:] + behind,
    lambda before, middle, behind, draw: before + middle[::-1] + behind,
    lambda before, middle, behind, draw: (before + middle + behind) * 2,
    lambda before, middle, behind, draw: before + draw.randbytes(draw.choice((1, 4, 60))) + middle + behind,
    lambda before, middle, behind, draw: _recoded(before + middle + behind, draw),
    _repeated,
)


def _times(draw: random.Random, most: int) -> int:
    """How often, or how many: mostly few, as a million inputs have to be small."""
    return most if draw.random() < 0.02 else min(draw.choice((2, 10, 60)), most)


def _recoded(data: bytes, draw: random.Random) -> bytes:
    to = draw.choice(("utf-16", "utf-32", "utf-16-le", "utf-8-sig", "latin-1", "gzip", "zlib"))
    if to == "gzip":
        return gzip.compress(data, 1, mtime=0)
    return zlib.compress(data, 1) if to == "zlib" else data.decode("utf-8", "replace").encode(to, "replace")


def mutated_text(text: str, draw: random.Random) -> str:
    """One change to a text, which may hold anything that a text of Python's can hold."""
    at, to = sorted((draw.randrange(len(text) + 1), draw.randrange(len(text) + 1)))
    before, middle, behind = text[:at], text[at:to], text[to:]
    return draw.choice(_CHANGES_TO_TEXT)(before, middle, behind, draw)


_CHANGES_TO_TEXT: Sequence[Callable[[str, str, str, random.Random], str]] = (
    lambda before, middle, behind, draw: draw.choice(ODD_TEXTS),
    lambda before, middle, behind, draw: draw.choice(MOMENTS),
    lambda before, middle, behind, draw: before + draw.choice(ODD_TEXTS) + behind,
    lambda before, middle, behind, draw: before,
    lambda before, middle, behind, draw: before + behind,
    lambda before, middle, behind, draw: before + (middle or "x") * _times(draw, 500) + behind,
    lambda before, middle, behind, draw: (before + middle + behind).swapcase(),
    lambda before, middle, behind, draw: (before + middle + behind)[::-1],
    lambda before, middle, behind, draw: before + chr(draw.choice(_ODD_CHARACTERS)) + middle + behind,
)


def mutated_json(text: str, draw: random.Random, odd: Sequence[Any] = ()) -> str:
    """A JSON text, changed as a tree (``odd``: further values to put in) or as a text; may be no JSON afterwards."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return mutated_bytes(text.encode("utf-8", "surrogatepass"), draw).decode("utf-8", "replace")
    how = draw.randrange(12)
    if how == 0:
        return mutated_bytes(text.encode("utf-8", "surrogatepass"), draw).decode("utf-8", "replace")
    if how == 1:
        return _with_name_twice(text, draw, odd)
    holder = [tree]
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        _change_tree(holder, draw, odd)
    return written(holder[0])


def written(tree: object) -> str:
    """A tree as JSON, with what only a text can hold (brackets without end, numbers of many digits) put in."""
    try:
        return _RAW.sub(_raw, json.dumps(tree))
    except (RecursionError, ValueError):
        return "null"


def _raw(found: re.Match[str]) -> str:
    number = min(int(found[2][:7]), 1_300_000)
    if found[1] == _MANY:
        return "[" + "{}," * number + "0]"
    return "9" * number if found[1] == _LONG_NUMBER else "[" * number + "]" * number


def _with_name_twice(text: str, draw: random.Random, odd: Sequence[Any]) -> str:
    members = list(_MEMBER.finditer(text))
    if not members:
        return text
    member = draw.choice(members)
    return text[: member.start()] + member[0] + written(_odd_value(draw, odd)) + "," + text[member.start() :]


def _odd_value(draw: random.Random, odd: Sequence[Any]) -> Any:
    choices: tuple[Callable[[], Any], ...] = (
        lambda: draw.choice(ODD_TEXTS),
        lambda: draw.choice(MOMENTS),
        lambda: draw.choice(NUMBERS),
        lambda: draw.choice((None, True, False, [], {}, [[]], {"": None}, [None], "")),
        lambda: _DEEP + str(draw.choice((3, 60, 900, 1100, _times(draw, 100_000)))),
        lambda: _LONG_NUMBER + str(draw.choice((20, 400, 4301, _times(draw, 50_000)))),
        lambda: "x" * draw.choice((20, 200, _times(draw, 100_000))),
        lambda: draw.choice(odd) if odd else 0,
        lambda: _MANY + str(1_300_000 if draw.random() < 0.004 else 40),
    )
    return draw.choice(choices)()


def _places(tree: object, most: int = 400) -> list[tuple[Any, Any]]:
    """Every place in a tree, as what holds it and its name or number there; without recursion."""
    found: list[tuple[Any, Any]] = []
    heap: list[Any] = [tree]
    while heap and len(found) < most:
        value = heap.pop()
        inner = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        for name, each in inner:
            found.append((value, name))
            if isinstance(each, dict | list):
                heap.append(each)
    return found


def _change_tree(holder: list[Any], draw: random.Random, odd: Sequence[Any]) -> None:
    places = _places(holder)
    parent, name = draw.choice(places)
    value = parent[name]
    other_parent, other_name = draw.choice(places)
    match draw.randrange(9):
        case 0 | 1:
            parent[name] = _odd_value(draw, odd)
        case 2:
            parent[name] = _bent(value, draw)
        case 3 if parent is not holder:
            del parent[name]
        case 4:
            parent[name] = draw.choice(([value], {"": value}, [value, value], {"data": value}))
        case 5:
            parent[name], other_parent[other_name] = other_parent[other_name], value
        case 6 if isinstance(parent, dict):
            parent[mutated_text(str(name), draw)] = value
        case 6 if parent is not holder:
            parent.insert(draw.randrange(len(parent) + 1), draw.choice(parent))
        case 7 if isinstance(value, list) and value:
            parent[name] = value * _times(draw, 1000 // len(value) + 1)
        case _:
            parent[name] = _bent(value, draw)


def _bent(value: Any, draw: random.Random) -> Any:
    if isinstance(value, str) and value[:1] == "{" and draw.random() < 0.8:  # such as an entry of a history
        return mutated_json(value, draw)
    if isinstance(value, str):
        return mutated_text(value, draw)
    if isinstance(value, bool) or value is None:
        return draw.choice((True, False, None, "true", 1, 0))
    if isinstance(value, int | float) and abs(value) < 10**4000:
        return draw.choice((-value, value + 1, value - 1, value * 10**6, str(value)[:4000], *NUMBERS))
    if isinstance(value, dict | list):
        return draw.choice((list(value), dict.fromkeys(map(str, value), 0), None, len(value)))
    return draw.choice(NUMBERS)


def is_shallow(tree: object, most: int) -> bool:
    """Whether fewer than so many objects and lists stand within each other."""
    level = [tree]
    for _ in range(most):
        level = [
            inner
            for value in level
            if isinstance(value, dict | list)
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return True
    return False
