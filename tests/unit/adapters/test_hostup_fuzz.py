"""Whatever HostUp answers: an error of ours or a result, and never a secret in what the error says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.unit.adapters.hostup_answering import API_KEY, SECRET, hostup
from tests.unit.adapters.salvaging import REQUEST_ID, parts
from tests.unit.adapters.test_salvage_fuzz import CHARSETS, CODINGS, Honest, framed, honest, junk, recoded
from tests.wire import Wire, answer, cut, raw
from worker.adapters.hostup.answers import read
from worker.adapters.hostup.client import HostUpClient
from worker.adapters.http.client import HttpClient
from worker.adapters.http.messages import Response
from worker.errors import HostUpError, HostUpUncertain, RotatorError
from worker.secret import Secret

CALLS: list[Callable[[HostUpClient], object]] = [
    lambda api: api.create_key("a label"),
    lambda api: api.delete_key("AKIAEXAMPLE"),
    lambda api: api.status(),
]

around = st.text(max_size=8)
planted = st.builds(
    lambda before, secret, after: before + secret + after, around, st.sampled_from([SECRET, API_KEY]), around
)
leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | planted
anything = st.recursive(
    leaf,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
# a secret that stands where only an access key or a requestId may, and nowhere else, cannot be told from one
ids = st.none() | st.just("2121ae20-bd9d") | st.text(max_size=20) | st.builds(lambda a: a + API_KEY, around)
keys = st.fixed_dictionaries({}, optional={"accessKey": ids, "secretKey": anything})
documents = st.fixed_dictionaries(
    {},
    optional={
        "success": anything,
        "requestId": ids,
        "code": anything,
        "error": anything,
        "message": anything,
        "detail": anything,
        "title": anything,
        "data": anything | st.fixed_dictionaries({}, optional={"key": keys | anything, "deleted": leaf}),
    },
)
bodies = documents.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=200)
bodies |= st.builds(lambda text, at: text[:at], bodies, st.integers(0, 200))
statuses = st.sampled_from([200, 201, 204, 302, 304, 400, 401, 403, 404, 408, 429, 500, 502, 599, 999])
header = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40) | st.just(API_KEY)
headers = st.fixed_dictionaries({}, optional=dict.fromkeys(["Retry-After", "Location", "Set-Cookie"], header))


def said_by(error: BaseException | None) -> Iterator[str]:
    """All that a log or a traceback could show of an error, and of those it hides."""
    while error:
        yield f"{error} {error!r} {error.args!r} {vars(error)!r} {getattr(error, '__notes__', '')}"
        yield from said_by(error.__cause__)
        error = error.__context__


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with Wire(answer(200)) as serving:
        yield serving


def show(api: HostUpClient, call: Callable[[HostUpClient], object]) -> str:
    """What an answer led to, as anybody could see it; any error but ours ends the test."""
    try:
        return repr(call(api))
    except HostUpError as error:
        return "\n".join(said_by(error))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(call=st.sampled_from(CALLS), status=statuses, body=bodies, head=headers)
def test_whole_answers(
    client: HttpClient,
    wire: Wire,
    call: Callable[[HostUpClient], object],
    status: int,
    body: bytes,
    head: dict[str, str],
) -> None:
    wire.script(answer(status, b"" if status in (204, 304) else body, head))
    seen = show(hostup(client, wire.url), call)
    assert API_KEY not in seen
    assert SECRET not in seen
    assert len(wire.heard) == 1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(
    call=st.sampled_from(CALLS),
    data=st.binary(max_size=60) | st.integers(0, 100).map(lambda at: raw(200, b"{}" * 50)[:at]),
)
def test_broken_answers(client: HttpClient, wire: Wire, call: Callable[[HostUpClient], object], data: bytes) -> None:
    wire.script(cut(data))
    with pytest.raises(RotatorError) as caught:
        call(hostup(client, wire.url))
    assert API_KEY not in "\n".join(said_by(caught.value))
    assert len(wire.heard) == 1


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[Honest, bytes]:
    """An honest answer to a create, out of form; what is cut is not mended, which no form of an answer would be."""
    said = draw(honest())
    assume(not parts(said.secret_key) & parts(said.label))  # the label is quoted
    coding, recode = draw(st.sampled_from(CODINGS))
    inner = draw(junk) + said.text.encode(draw(st.sampled_from(CHARSETS)), "replace") + draw(junk)
    whole = draw(framed(recode(inner), coding))
    part = whole[: draw(st.integers(0, len(whole)))]
    return said, draw(
        st.sampled_from([whole, part, part + whole, whole + part, whole + whole, part + inner, part + part])
        | st.builds(lambda before, behind: before + whole + behind, junk, junk)
        | st.builds(lambda before: before + part, junk)
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(case=spoilt())
def test_spoilt_answers_to_a_create(client: HttpClient, wire: Wire, case: tuple[Honest, bytes]) -> None:
    said, data = case
    wire.script(cut(data))
    try:
        key = hostup(client, wire.url).create_key(said.label)
    except HostUpUncertain as error:
        names, seen = (error.access_key, error.request_id), "\n".join(said_by(error))
    else:
        assert key.secret_key.reveal() == said.secret_key
        names, seen = (key.access_key, key.request_id), repr(key)
        assert key.access_key
    assert names[0] in (None, said.access_key)
    assert names[1] in (None, REQUEST_ID)
    assert not any(part in seen for part in parts(said.secret_key))
    assert len(wire.heard) == 1


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(case=recoded())
def test_a_key_that_is_there_is_taken(client: HttpClient, wire: Wire, case: tuple[Honest, bytes]) -> None:
    said, data = case
    wire.script(cut(data))
    key = hostup(client, wire.url).create_key(said.label)
    assert (key.access_key, key.secret_key.reveal()) == (said.access_key, said.secret_key)
    assert key.request_id == REQUEST_ID


@given(
    text=st.text(max_size=60)
    | st.datetimes().map(str)
    | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ [0-9:+-]+ .*")
)
def test_waiting_times(text: str) -> None:
    response = Response(429, {"retry-after": text, "x-ratelimit-reset": text}, b"")
    seconds = read(response, Secret(API_KEY)).retry_after(datetime(2026, 2, 10, tzinfo=UTC))
    assert seconds is None or 0 <= seconds <= 86400
