"""Answers to a create as a server may send them, in good and in bad form."""

from __future__ import annotations

import gzip
import json
import zlib

from worker.adapters.hostup.salvage import Salvaged

REQUEST_ID = "2121ae20-bd9d-41e9-aeeb-5dd1dd1a24ba"
ACCESS_KEY = "AKIAEXAMPLE0123456789"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYPLANTEDKEY"
LABEL = "média-uploads 7f3a ✓"

SHORTEST_PART = 8


def document(label: str = LABEL, access_key: str = ACCESS_KEY, secret_key: str = SECRET) -> dict[str, object]:
    """The documented answer, in the documented order."""
    key = {"accessKey": access_key, "secretKey": secret_key, "label": label}
    return {"success": True, "timestamp": "2026-02-10T00:00:00.000Z", "requestId": REQUEST_ID, "data": {"key": key}}


def body(label: str = LABEL, access_key: str = ACCESS_KEY, secret_key: str = SECRET) -> bytes:
    return json.dumps(document(label, access_key, secret_key), ensure_ascii=False).encode()


def head(*lines: str, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "".join(f"{line}\r\n" for line in (status, "Content-Type: application/json", *lines)).encode() + b"\r\n"


def with_length(data: bytes, *lines: str) -> bytes:
    return head(f"Content-Length: {len(data)}", *lines) + data


def chunks(data: bytes, sizes: list[int], last: bytes = b"0\r\n\r\n", wrong: dict[int, int] | None = None) -> bytes:
    """``data`` in chunks of these sizes, over and over; ``wrong`` is by how much the size of the n-th is wrong."""
    framed, at, number = b"", 0, 0
    while at < len(data):
        part = data[at : at + sizes[number % len(sizes)]]
        framed += b"%x\r\n%s\r\n" % (max(len(part) + (wrong or {}).get(number, 0), 0), part)
        at += len(part)
        number += 1
    return framed + last


def in_chunks(data: bytes, sizes: list[int], *lines: str, last: bytes = b"0\r\n\r\n") -> bytes:
    return head("Transfer-Encoding: chunked", *lines) + chunks(data, sizes, last)


def deflated(data: bytes) -> bytes:
    """Without zlib's wrapper, as some servers understand ``deflate``."""
    return zlib.compress(data, wbits=-15)


def zeros(layers: int = 2) -> bytes:
    """1 GiB of zeros, compressed as often: three times makes some 270 bytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(1024 * 1024)
    packed = b"".join([*(packer.compress(block) for _ in range(1024)), packer.flush()])
    for _ in range(layers - 1):
        packed = gzip.compress(packed, 9)
    return packed


def secret_of(salvaged: Salvaged | None) -> str | None:
    return salvaged.secret_key.reveal() if salvaged and salvaged.secret_key else None


def parts(secret: str) -> set[str]:
    """All that nobody may read of a secret."""
    return {secret[at : at + SHORTEST_PART] for at in range(len(secret) - SHORTEST_PART + 1)}
