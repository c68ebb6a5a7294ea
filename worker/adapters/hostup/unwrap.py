"""What was received of a call, unwrapped: chunks, compression and charset, each as far as it can be undone.

Nothing in here takes a byte out of a body, apart from lines that are chunk sizes where a chunk size has to stand: text
that lacks something in its middle could read as another value. What is framed wrongly is handed on as it is. Every step
is linear, and decoding gives at most :data:`MOST_BYTES`.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from worker.adapters.hostup.head import Head

MOST_BYTES = 4 * 1024 * 1024
MOST_CHUNKS = 65536
MOST_LAYERS = 3
"""Of compression in one another; ``gzip, gzip`` was seen in public."""

LONGEST_JUNK = 64 * 1024
"""Bytes before a compressed stream."""

MOST_STREAMS = 4
"""Compressed, behind one another."""

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*+(?:;[^\r\n]{0,1024}+)?\r?\n")
_BEGUN_SIZE_LINE = re.compile(rb"(?:[0-9A-Fa-f]{1,16}[ \t]*+(?:;[^\r\n]{0,1024}+)?\r?)?\Z")
_SIZE_LINE_INSIDE = re.compile(rb"\n[0-9A-Fa-f]{1,16}[ \t]*+\r?\n")
_END_OF_CHUNK = re.compile(rb"\r?\n")
_GZIP = b"\x1f\x8b\x08"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


_GZIP_BITS, _ZLIB_BITS, _BARE_BITS = 31, 15, -15
REPLACED = "\ufffd"
"""What stands for bytes that are no character."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body as it may have been meant; ``wrong`` says in phrases what had to be undone or overlooked.

    ``in_order`` is whether the bytes stand as they were sent, without any between them that do not belong there. A
    compressed stream is believed without its checksum only then: a few bytes too many turn what follows into other
    text, often without an error.
    """

    data: bytes = field(repr=False)
    in_order: bool = True
    wrong: tuple[str, ...] = ()

    def but(self, data: bytes, *wrong: str, in_order: bool = True) -> Body:
        """Other bytes made of this body's."""
        return Body(data, self.in_order and in_order, (*self.wrong, *wrong))


@dataclass(frozen=True, slots=True)
class _Inflated:
    """``proven``: by a checksum at its end; ``alone``: nothing stood behind it."""

    data: bytes = field(repr=False)
    proven: bool
    alone: bool
    wrong: tuple[str, ...] = ()


def bodies(raw: bytes, head: Head) -> Iterator[Body]:
    """What the body can be, the likeliest first, and at last all that was received."""
    yield from unwrapped(raw, head)
    yield Body(raw, in_order=False, wrong=head.wrong)


def unwrapped(raw: bytes, head: Head) -> Iterator[Body]:
    """What stands behind the head, in every form that it can be meant in."""
    for body in _unframed(Body(raw[head.end :], wrong=head.wrong), head):
        yield from _unpacked(body, head.codings)


def texts(body: Body) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The texts that a body can be, the likeliest first, each with what is wrong with it."""
    guessed = json.detect_encoding(body.data)
    if not guessed.startswith("utf-8"):
        yield body.data.decode(guessed, "replace"), (*body.wrong, f"{guessed[:6].upper()} instead of UTF-8")
    text = body.data.decode("utf-8", "replace")
    damaged = REPLACED in text
    yield text, (*body.wrong, "bytes that are not UTF-8") if damaged else body.wrong
    del text  # as large as the next
    if damaged:  # windows-1252 holds the printable part of latin-1
        yield body.data.decode("cp1252", "replace"), (*body.wrong, "latin-1 instead of UTF-8")


def _unframed(body: Body, head: Head) -> Iterator[Body]:
    if not _SIZE_LINE.match(body.data):
        yield _compared(body, head)
        return
    undone, odd, in_order = _without_chunks(body.data)
    unsaid = () if head.chunked else ("chunks without saying so",)
    yield body.but(undone, *unsaid, *odd, in_order=in_order)
    yield body.but(body.data, "chunks that cannot be undone", in_order=False)


def _compared(body: Body, head: Head) -> Body:
    """A body that is not in chunks, compared with what the head says of it."""
    if head.chunked:
        return body.but(body.data, "chunks that are none")
    if head.length is None or head.length == len(body.data):
        return body
    if head.length > len(body.data):
        return body.but(body.data, "a Content-Length larger than the body")
    return body.but(body.data, "a Content-Length smaller than the body", in_order=False)


def _without_chunks(data: bytes) -> tuple[bytes, tuple[str, ...], bool]:
    """The chunks joined, what is wrong with them, and whether what is left is in order.

    Where no chunk size stands in its place, all that follows is taken as it is.
    """
    joined = bytearray()
    at = 0
    for _ in range(MOST_CHUNKS):
        line = _SIZE_LINE.match(data, at)
        if line is None:
            break
        size = int(line[1], 16)
        at = line.end() + size
        joined += data[line.end() : at]
        if size == 0:
            return bytes(joined) + data[at:], (), not data[at:].strip()
        if at > len(data):  # or its size is too large, and the next size line is in it
            return bytes(joined), ("a chunk cut short",), not _SIZE_LINE_INSIDE.search(data, line.end())
        end = _END_OF_CHUNK.match(data, at)
        at = end.end() if end else at
        if _BEGUN_SIZE_LINE.match(data, at) if end else data[at:] in (b"", b"\r"):
            return bytes(joined), ("chunks without the last one",), True
        if end is None:
            break
    return bytes(joined) + data[at:], ("a chunk size that is wrong",), False


def _unpacked(body: Body, codings: tuple[str, ...]) -> Iterator[Body]:
    """The body without compression where there is some, and as it is."""
    unpacked = body
    layers = 0
    while layers < MOST_LAYERS and (inner := _without_layer(unpacked, said="deflate" in codings and not layers)):
        unpacked = inner
        layers += 1
    if layers:
        unsaid = () if codings else ("compressed without saying so",)
        more = ("compressed more than once",) if layers > 1 else ()
        yield unpacked.but(unpacked.data, *unsaid, *more)
    yield body.but(body.data, "a Content-Encoding that cannot be undone") if codings else body


def _without_layer(body: Body, *, said: bool) -> Body | None:
    """The body without one layer of gzip or deflate, or None; ``said`` is whether the head names deflate."""
    at = max(body.data.find(_GZIP, 0, LONGEST_JUNK), 0)
    bits = _bits(body.data, at, said=said)
    inflated = _inflated(body.data[at:], bits, MOST_BYTES - at) if bits else None
    if inflated is None or not (inflated.proven or (body.in_order and not at)):
        return None
    wrong = (*body.wrong, *(("text before the compressed stream",) if at else ()), *inflated.wrong)
    return Body(body.data[:at] + inflated.data, inflated.alone and not at, wrong)


def _bits(data: bytes, at: int, *, said: bool) -> int:
    """How zlib calls what begins there; 0 when it is nothing of the kind."""
    if data.startswith(_GZIP, at):
        return _GZIP_BITS
    if data.startswith(_ZLIB):
        return _ZLIB_BITS
    return _BARE_BITS if said else 0


def _inflated(data: bytes, bits: int, most: int) -> _Inflated | None:
    """What the streams hold and then what stands behind them, ``most`` bytes; None for no stream, or a faulty one.

    A fault inside the first stream leaves nothing of it, as nobody can say where it began. A later one is taken only
    when it is proven.
    """
    joined = b""
    for number in range(MOST_STREAMS):
        room = most - len(joined)
        stream = zlib.decompressobj(bits)
        try:
            part = stream.decompress(data, max(room, 1))  # 0 would be no limit
        except zlib.error:
            part = b""
        if not stream.eof and number == 0:
            too_much = "more than 4 MiB when unpacked" if len(part) == room else "a compressed stream cut short"
            return _Inflated(part, proven=False, alone=True, wrong=(too_much,)) if part else None
        if not stream.eof or len(part) > room:
            break
        joined += part
        data = stream.unused_data
        if bits != _GZIP_BITS or not data.startswith(_GZIP):
            break
    return _Inflated(joined + data[: most - len(joined)], proven=bits != _BARE_BITS, alone=not data.strip())
