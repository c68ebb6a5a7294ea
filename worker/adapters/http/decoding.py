"""Content-Encoding undone, with a limit on what comes of it.

``identity`` is what is asked for. A gateway may compress all the same, and a few hundred bytes can be made to become
gigabytes (docs/facts.md).
"""

from __future__ import annotations

import zlib

MOST_LAYERS = 3
"""Of compression in one another; ``gzip, gzip`` was seen in public. Each takes its time, and a header has room for
thousands."""


class Undecodable(Exception):
    """It cannot be read, or is too long. The text quotes nothing of it."""


_GZIP, _ZLIB, _BARE = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS
_FORMATS = {"gzip": (_GZIP,), "x-gzip": (_GZIP,), "deflate": (_ZLIB, _BARE)}


def decoded(body: bytes, encodings: str, longest: int) -> bytes:
    """The body as it was before the ``encodings`` that its header names, if it has at most ``longest`` bytes.

    Raises Undecodable.
    """
    named = [part.strip().lower() for part in encodings.split(",")]
    layers = [name for name in reversed(named) if name not in ("", "identity")]
    if len(layers) > MOST_LAYERS:
        raise Undecodable(f"the response is packed more than {MOST_LAYERS} times")
    for name in layers:
        body = _undone(body, _FORMATS.get(name, ()), longest)
    return body


def _undone(body: bytes, formats: tuple[int, ...], longest: int) -> bytes:
    for format_ in formats:
        decoder = zlib.decompressobj(format_)
        try:
            data = decoder.decompress(body, longest + 1)
        except zlib.error:
            continue
        if len(data) > longest:
            raise Undecodable(f"the response is longer than {longest} bytes")
        if decoder.eof:
            return data
    raise Undecodable("the response's encoding cannot be read")
