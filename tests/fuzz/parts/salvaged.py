"""An honest answer to a create, cut, doubled, wrapped, recoded or framed wrongly: the right key, or none.

Nothing is changed within a value here, so whatever else is read as a key was never said by the server.
"""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable, Iterator, Sequence

from tests.fuzz.answers import Wired
from tests.fuzz.limits import seen
from tests.fuzz.part import Part
from tests.unit.adapters.hostup_answering import API_KEY, hostup
from tests.unit.adapters.salvaging import ACCESS_KEY, LABEL, REQUEST_ID, SECRET, body, chunks, deflated, with_length
from worker.adapters.http.client import HttpClient
from worker.errors import HostUpUncertain
from worker.rotation.ports import CreatedKey

JUNK = (
    *(b"{", b'{"', b'{"x":', b"{}", b"[", b'"', b'{"data":', b'{"data":{"key":', b'{"accessKey":"x",'),
    *(b'"}', b'"}}}', b'",', b'","', b"}", b",", b'":"', b"\\", b'\\"', b'","label":"', b"\r\n", b"\n1f\r\n"),
    *(b"<b>Notice</b>: {x}\n", b")]}',\n", b"<!-- 1 s -->", b"\0", b"\n2026-02-10 00:00:00", b"HTTP/1.1 408 X\r\n\r\n"),
)
LINES = (
    *(b"X-Powered-By PHP", b": x", b"A : b", b" b", b"Set-Cookie: {"),
    *(b"Content-Length: 7", b"Content-Encoding: gzip"),
)
WHOLE: tuple[Callable[[bytes, bytes, bytes], bytes], ...] = (
    lambda _, cut, __: cut,
    lambda data, cut, _: cut + data,
    lambda data, cut, _: data + cut,
    lambda data, _, junk: data + junk,
    lambda data, _, junk: junk + data,
)
"""What is done to all of an answer, with a beginning of it and with something odd."""

CODINGS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"", gzip.compress),
    (b"gzip", gzip.compress),
    (b"deflate", zlib.compress),
    (b"deflate", deflated),
    (b"gzip", bytes),
)

_wired = Wired()
_client = HttpClient(_wired.engine)


class AnotherValue(Exception):
    """What was read is not what the server said."""


def _seeds() -> Sequence[bytes]:
    return [with_length(body()), with_length(body(), "Connection: close")]


def _mutate(data: bytes, draw: random.Random) -> bytes:
    head, gap, content = data.partition(b"\r\n\r\n")
    if draw.random() < 0.5:
        return draw.choice(WHOLE)(data, data[: draw.randrange(len(data) + 1)], draw.choice(JUNK))
    how = draw.randrange(5)
    lines = head.split(b"\r\n")
    if how == 0:
        content = content[: draw.randrange(len(content) + 1)] + content
    elif how == 1:
        content = draw.choice(JUNK) + content
    elif how == 2:
        lines.insert(draw.randrange(1, len(lines) + 1), draw.choice(LINES))
    elif how == 3:
        coding, recode = draw.choice(CODINGS)
        lines += [b"Content-Encoding: " + coding] if coding else []
        content = recode(content)
    else:
        wrong = {draw.randrange(5): draw.randrange(-40, 40)} if draw.random() < 0.5 else {}
        lines += draw.choice(([b"Transfer-Encoding: chunked"], []))
        content = chunks(content, [draw.randrange(1, 200)], draw.choice((b"0\r\n\r\n", b"")), wrong)
    return b"\r\n".join(lines) + gap + content


def _run(data: bytes) -> Iterator[str]:
    _wired.will_get(data)
    yield from seen(_create)


def _create() -> CreatedKey:
    """Raises AnotherValue."""
    try:
        created = hostup(_client, "http://127.0.0.1:9").create_key(LABEL)
    except HostUpUncertain as error:
        if error.access_key not in (None, ACCESS_KEY) or error.request_id not in (None, REQUEST_ID):
            raise AnotherValue(f"{error.request_id}: {error}") from None
        raise
    if (created.access_key, created.secret_key.reveal()) != (ACCESS_KEY, SECRET):
        raise AnotherValue(f"the access key is {created.access_key}")
    if created.request_id not in (None, REQUEST_ID):
        raise AnotherValue(f"the requestId is {created.request_id}")
    return created


PART = Part("salvaged", _seeds, _mutate, _run, share=2500, secrets=(API_KEY, SECRET))
