"""Any honest answer of ours, maltreated at random: the right key, or less of it, but never another value."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tests.unit.adapters.salvaging import REQUEST_ID, chunks, deflated, document, head, parts, secret_of
from worker.adapters.hostup.finding import find
from worker.adapters.hostup.salvage import Found, Salvaged, salvage

KEY_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
EXAMPLES = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine

labels = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
access_keys = st.text(KEY_CHARACTERS, min_size=16, max_size=128)
secret_keys = st.text(KEY_CHARACTERS + "+/=", min_size=16, max_size=128)

Recode = Callable[[bytes], bytes]
CODINGS: list[tuple[str, Recode]] = [
    ("", bytes),
    ("", gzip.compress),
    ("", zlib.compress),
    ("gzip", gzip.compress),
    ("gzip", lambda data: gzip.compress(data, 0)),
    ("gzip", lambda data: zlib.compress(data, wbits=31, level=1)),
    ("gzip, gzip", lambda data: gzip.compress(gzip.compress(data))),
    ("gzip", bytes),
    ("br", bytes),
    ("deflate", zlib.compress),
    ("deflate", deflated),
]
CHARSETS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252"]
INDENTS = st.sampled_from([None, 0, 2])
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n", " :\t")])

begin_like_json = [b"{", b'{"', b'{"x":', b"{}", b"[", b'"', b'{"data":', b'{"data":{"key":', b'{"accessKey":"x",']
end_like_json = [
    b'"',
    b'"}',
    b'"}}}',
    b'",',
    b'","',
    b"}",
    b",",
    b'":"',
    b"\\",
    b'\\"',
    b'","label":"',
    b"\r\n",
    b"\n1f\r\n",
]
notes = [
    b"<b>Notice</b>: {x}\n",
    b")]}',\n",
    b"<!-- 1 s -->",
    b"\0",
    b"\n2026-02-10 00:00:00",
    b"HTTP/1.1 408 X\r\n\r\n",
]
junk = st.just(b"") | st.sampled_from([*begin_like_json, *end_like_json, *notes]) | st.binary(max_size=20)


@dataclass(frozen=True, slots=True)
class Honest:
    """What the server had to say."""

    label: str
    access_key: str
    secret_key: str
    text: str = field(repr=False)


@st.composite
def honest(draw: st.DrawFn) -> Honest:
    label, access_key, secret_key = draw(labels), draw(access_keys), draw(secret_keys)
    # else a part of the secret may be read, as it is a part of what is no secret as well
    assume(not parts(secret_key) & parts(f"{access_key} {REQUEST_ID}"))
    text = json.dumps(
        document(label, access_key, secret_key),
        ensure_ascii=draw(st.booleans()),
        indent=draw(INDENTS),
        separators=draw(SEPARATORS),
    )
    return Honest(label, access_key, secret_key, text.replace("/", "\\/") if draw(st.booleans()) else text)


@st.composite
def framed(draw: st.DrawFn, body: bytes, coding: str) -> bytes:
    lines = [f"Content-Encoding: {coding}"] if coding else []
    lines += draw(st.lists(st.sampled_from(["X-Powered-By PHP", ": x", "A : b", " b", "Set-Cookie: {"]), max_size=2))
    interim = draw(st.sampled_from([b"", head(status="HTTP/1.1 100 Continue")]))
    status = draw(st.sampled_from(["HTTP/1.1 200 OK", "HTTP/2 200", "HTTP/1.0 201 Created"]))
    if draw(st.booleans()):
        lengths = st.lists(st.integers(-3, 3).map(lambda by: f"Content-Length: {len(body) + by}"), max_size=2)
        return interim + head(*lines, *draw(lengths), status=status) + body
    said = draw(st.sampled_from([["Transfer-Encoding: chunked"], [], ["Transfer-Encoding: identity"]]))
    sizes = draw(st.lists(st.integers(1, 200), min_size=1, max_size=5))
    wrong = draw(st.dictionaries(st.integers(0, 5), st.integers(-40, 40), max_size=2))
    last = draw(st.sampled_from([b"0\r\n\r\n", b"", b"0\r\n", b"0\r\nTrailer: x\r\n\r\n"]))
    return interim + head(*lines, *said, status=status) + chunks(body, sizes, last, wrong)


@st.composite
def maltreated(draw: st.DrawFn) -> tuple[Honest, bytes]:
    answer = draw(honest())
    charset = draw(st.sampled_from(CHARSETS))
    coding, recode = draw(st.sampled_from(CODINGS))
    inner = draw(junk) + answer.text.encode(charset, "replace") + draw(junk)
    raw = draw(framed(recode(inner), coding))
    cut = raw[: draw(st.integers(0, len(raw)))]
    return answer, draw(
        st.sampled_from([raw, cut, cut + raw, raw + cut, raw + raw, cut + inner, cut + cut])
        | st.builds(lambda before, what, behind: before + what + behind, junk, st.sampled_from([raw, cut]), junk)
        | st.builds(lambda what: cut + what + raw, junk)
    )


def check(answer: Honest, found: Salvaged | None) -> None:
    """Nothing but what the server said, and the secret in no text."""
    if found is None:
        return
    assert found.access_key in (None, answer.access_key)
    assert secret_of(found) in (None, answer.secret_key)
    assert found.request_id in (None, REQUEST_ID)
    assert (found.found is Found.KEY_PAIR) == (found.secret_key is not None)
    assert found.access_key or found.found not in (Found.KEY_PAIR, Found.ACCESS_KEY)
    seen = repr(found)
    assert not any(part in seen for part in parts(answer.secret_key))


@EXAMPLES
@given(case=maltreated())
def test_never_another_value(case: tuple[Honest, bytes]) -> None:
    answer, raw = case
    check(answer, salvage(raw, answer.label))


@EXAMPLES
@given(answer=honest(), data=st.data())
def test_a_text_cut_and_continued(answer: Honest, data: st.DataObject) -> None:
    """The same without HTTP around it, where hypothesis gets to more places of the text."""
    text = answer.text[: data.draw(st.integers(0, len(answer.text)))]
    behind = data.draw(st.sampled_from([answer.text, *(each.decode() for each in end_like_json)]) | st.text(max_size=9))
    check(answer, find(text + behind, answer.label))


@EXAMPLES
@given(answer=honest(), label=labels)
def test_never_for_another_label(answer: Honest, label: str) -> None:
    assume(label != answer.label)
    found = find(answer.text, label)
    assert found is not None
    assert (found.found, found.secret_key) == (Found.ANOTHER_LABEL, None)


@st.composite
def recoded(draw: st.DrawFn) -> tuple[Honest, bytes]:
    """Odd, but with all of the answer in it."""
    answer = draw(honest())
    charset = draw(st.sampled_from(CHARSETS))
    encoded = answer.text.encode(charset, "replace")
    # nobody writes the control characters that latin-1 has and windows-1252 has not
    assume(encoded.decode("cp1252" if charset == "latin-1" else charset, "replace") == answer.text)
    assume(
        charset not in ("latin-1", "cp1252") or encoded.decode("utf-8", "replace") != encoded.decode("utf-8", "ignore")
    )
    coding, recode = draw(st.sampled_from(CODINGS))
    data = recode(answer.text.encode(charset))
    if draw(st.booleans()):
        lengths = st.lists(st.integers(0, 9).map(lambda by: f"Content-Length: {len(data) + by}"), max_size=2)
        return answer, head(f"Content-Encoding: {coding}", *draw(lengths)) + data
    said = draw(st.sampled_from([["Transfer-Encoding: chunked"], []]))
    sizes = draw(st.lists(st.integers(1, 200), min_size=1, max_size=5))
    last = draw(st.sampled_from([b"0\r\n\r\n", b"", b"0\r"]))
    return answer, head(f"Content-Encoding: {coding}", *said) + chunks(data, sizes, last)


@EXAMPLES
@given(case=recoded())
def test_the_key_where_all_of_it_is_there(case: tuple[Honest, bytes]) -> None:
    answer, raw = case
    found = salvage(raw, answer.label)
    check(answer, found)
    assert secret_of(found) == answer.secret_key


@EXAMPLES
@given(raw=st.binary(max_size=300) | st.text(max_size=100).map(str.encode), label=st.text(max_size=5))
@example(raw=b"HTTP/1.1 200 OK\r\n\r\n\x1f\x8b\x08", label="")
def test_never_an_exception(raw: bytes, label: str) -> None:
    found = salvage(raw, label)
    assert found is None or found.secret_key is None
