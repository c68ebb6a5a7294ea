"""A key is found in an answer of any form, and never guessed."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from tests.unit.adapters.salvaging import (
    ACCESS_KEY,
    LABEL,
    REQUEST_ID,
    SECRET,
    body,
    chunks,
    deflated,
    document,
    head,
    in_chunks,
    parts,
    secret_of,
    with_length,
)
from worker.adapters.hostup.key_object import same_label
from worker.adapters.hostup.salvage import Found, Salvaged, salvage
from worker.secret import Secret

BODY = body()
COUNTED = len(BODY.decode())
"""Characters, of which two take more than one byte."""

NUMBER = f"Content-Length: {len(BODY)}"

WHOLE: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "good form": (with_length(BODY), ()),
    "good chunks": (in_chunks(BODY, [7, 64]), ()),
    "good gzip": (with_length(gzip.compress(BODY), "Content-Encoding: gzip"), ()),
    "100 and 103 before": (
        head(status="HTTP/1.1 100 Continue")
        + head("Link: </x>", status="HTTP/1.1 103 Early Hints")
        + with_length(BODY),
        (),
    ),
    "Content-Length twice": (head(NUMBER, NUMBER) + BODY, ("two Content-Length lines",)),
    "two Content-Lengths": (head(NUMBER, "Content-Length: 5") + BODY, ("Content-Length lines that differ",)),
    "Content-Length too large by 2": (
        head(f"Content-Length: {len(BODY) + 2}") + BODY,
        ("a Content-Length larger than the body",),
    ),
    "Content-Length in characters": (
        head(f"Content-Length: {COUNTED}") + BODY,
        ("a Content-Length smaller than the body",),
    ),
    "Content-Length of words": (head("Content-Length: many") + BODY, ("a Content-Length that is no number",)),
    "no colon": (head("X-Powered-By PHP", NUMBER) + BODY, ("a header line without a colon",)),
    "no header name": (head(": no-cache", NUMBER) + BODY, ("a header line without a name",)),
    "blank before the colon": (head(f"Content-Length : {len(BODY)}") + BODY, ("a blank before a colon",)),
    "folded header": (head("X-Long: a", "  b", NUMBER) + BODY, ("a header line that begins with a blank",)),
    "HTTP/2 in the status line": (
        head(NUMBER, status="HTTP/2 200") + BODY,
        ("a status line that is not of HTTP/1",),
    ),
    "bare line feeds": (with_length(BODY).replace(b"\r\n", b"\n"), ("line ends without a carriage return",)),
    "no empty line behind the head": (
        head(NUMBER)[:-2] + BODY,
        ("a head without an end", "text before the JSON"),
    ),
    "no head": (BODY, ("no status line",)),
    "identity": (head("Transfer-Encoding: identity") + BODY, ("an odd Transfer-Encoding",)),
    "chunks that are none": (head("Transfer-Encoding: chunked") + BODY, ("chunks that are none",)),
    "chunks without saying so": (head() + chunks(BODY, [50]), ("chunks without saying so",)),
    "chunks beside a Content-Length": (
        in_chunks(BODY, [50], NUMBER),
        ("Content-Length beside chunks",),
    ),
    "chunks without the last one": (in_chunks(BODY, [100], last=b""), ("chunks without the last one",)),
    "a cut in the last size line": (in_chunks(BODY, [100], last=b"0\r"), ("chunks without the last one",)),
    "chunks with extensions": (
        in_chunks(BODY, [len(BODY)]).replace(b"\r\n{", b";a=b\r\n{"),
        (),
    ),
    "a chunk that is too large": (
        head("Transfer-Encoding: chunked") + chunks(BODY, [len(BODY)], wrong={0: 2}),
        ("a chunk size that is wrong", "text behind the JSON"),
    ),
    "a last chunk that is too small": (
        head("Transfer-Encoding: chunked") + chunks(BODY, [len(BODY) - 4], wrong={1: -2}),
        ("a chunk size that is wrong", "text behind the JSON"),
    ),
    "gzip without saying so": (with_length(gzip.compress(BODY)), ("compressed without saying so",)),
    "gzip over a plain body": (
        with_length(BODY, "Content-Encoding: gzip"),
        ("a Content-Encoding that cannot be undone",),
    ),
    "gzip in gzip": (
        with_length(gzip.compress(gzip.compress(BODY)), "Content-Encoding: gzip, gzip"),
        ("compressed more than once",),
    ),
    "gzip in two streams": (
        with_length(gzip.compress(BODY[:99]) + gzip.compress(BODY[99:]), "Content-Encoding: gzip"),
        (),
    ),
    "gzip without its checksum": (
        head("Content-Encoding: gzip") + gzip.compress(BODY)[:-8],
        ("a compressed stream cut short",),
    ),
    "gzip in chunks without the last one": (
        in_chunks(gzip.compress(BODY), [30], "Content-Encoding: x-gzip", last=b""),
        ("chunks without the last one",),
    ),
    "gzip behind a notice": (
        head("Content-Encoding: gzip") + b"<b>Notice</b>: x\n" + gzip.compress(BODY),
        ("text before the compressed stream", "text before the JSON"),
    ),
    "deflate": (with_length(zlib.compress(BODY), "Content-Encoding: deflate"), ()),
    "bare deflate": (with_length(deflated(BODY), "Content-Encoding: deflate"), ()),
    "byte order mark": (with_length(b"\xef\xbb\xbf" + BODY), ("a byte order mark",)),
    "PHP notice": (
        with_length(b"<br />\n<b>Notice</b>: Undefined index: {x} in <b>/a.php</b><br />\n" + BODY),
        ("text before the JSON",),
    ),
    "guard against scripts": (with_length(b")]}',\n" + BODY), ("text before the JSON",)),
    "call of a script": (
        with_length(b"callback(" + BODY + b");"),
        ("text before the JSON", "text behind the JSON"),
    ),
    "comment behind": (with_length(BODY + b"<!-- 0.123 s -->"), ("text behind the JSON",)),
    "NUL behind": (with_length(BODY + b"\0"), ("text behind the JSON",)),
    "time stamp behind": (with_length(BODY + b"\n2026-02-10 00:00:00"), ("text behind the JSON",)),
    "the answer twice": (with_length(BODY) * 2, ("text behind the JSON",)),
    "the JSON twice": (with_length(BODY + BODY), ("text behind the JSON",)),
    "trailing commas": (with_length(BODY.replace(b"}", b",}")), ("a trailing comma",)),
    "cut behind the label": (
        with_length(BODY)[: -len("}}}")],
        ("a Content-Length larger than the body", "JSON that is cut short"),
    ),
    "debris in the middle": (
        with_length(BODY.replace(b'"data"', b'<!-- x -->"data"')),
        ("JSON that is damaged",),
    ),
    "debris behind the label": (with_length(BODY[:-3] + b"\r\n1f\r\n"), ("JSON that is damaged",)),
    "UTF-16": (with_length(BODY.decode().encode("utf-16")), ("UTF-16 instead of UTF-8",)),
    "label cut inside a character": (
        with_length(BODY.replace("✓".encode(), "✓".encode()[:2])),
        ("bytes that are not UTF-8", "a label cut inside a character"),
    ),
    "slashes escaped": (with_length(BODY.replace(b"/", b"\\/")), ()),
    "letters escaped": (with_length(json.dumps(document()).encode()), ()),
    "another order": (
        with_length(json.dumps(document(), sort_keys=True).encode() + b";"),
        ("text behind the JSON",),
    ),
    "more names": (
        with_length(BODY.replace(b'"label"', b'"createdAt": [1, {"by": null}], "label"') + b";"),
        ("text behind the JSON",),
    ),
    "documented names twice elsewhere": (
        with_length(BODY.replace(b'"label"', b'"meta": {"label": 1, "label": 2}, "label"') + b";"),
        ("text behind the JSON",),
    ),
    "a cut answer, then one with debris": (
        with_length(BODY[: BODY.index(b"MDENG")] + b"\r\n" + BODY.replace(b'"data"', b'x "data"')),
        ("JSON that is damaged",),
    ),
    "wrapped in another object": (with_length(b'{"result": ' + BODY + b"}"), ("JSON that is damaged",)),
}


@pytest.mark.parametrize("name", WHOLE)
def test_the_key_is_found_whatever_the_form(name: str) -> None:
    raw, wrong = WHOLE[name]
    found = salvage(raw, LABEL)
    assert found is not None
    assert (found.found, found.access_key, secret_of(found)) == (Found.KEY_PAIR, ACCESS_KEY, SECRET)
    assert found.request_id == REQUEST_ID
    assert found.status == (None if name == "no head" else 200)
    assert found.label_seen
    assert not found.why
    assert set(wrong) <= set(found.wrong)
    assert bool(found.wrong) == bool(wrong)
    assert not any(part in repr(found) for part in parts(SECRET))


def test_a_label_in_latin_1() -> None:
    label = "média-uploads \N{EN DASH} 7f3a"  # the dash is what only windows-1252 has
    found = salvage(with_length(body(label).decode().encode("cp1252")), label)
    assert found == Salvaged(
        Found.KEY_PAIR,
        ACCESS_KEY,
        Secret(SECRET),
        REQUEST_ID,
        200,
        label_seen=True,
        wrong=("latin-1 instead of UTF-8",),
    )


@pytest.mark.parametrize(
    ("seen", "sent", "same"),
    [
        ("uploads 7f", "uploads 7f", True),
        ("uploads 7f ", "uploads 7f", False),
        ("uploads 7f\ufffd", "uploads 7f", False),
        ("uploads 7f\ufffd", "uploads 7fé", True),
        ("uploads 7f\ufffd", "uploads 7f✓✓ ✓", True),
        ("uploads 7\ufffd", "uploads 7f", False),
        ("uploads \ufffd", "uploads é 7f", False),
        ("uploads\ufffd", "uploadsé", False),
        ("\ufffd", "é", False),
    ],
)
def test_a_label_may_only_lack_what_tells_nothing(seen: str, sent: str, *, same: bool) -> None:
    assert same_label(seen, sent) is same
