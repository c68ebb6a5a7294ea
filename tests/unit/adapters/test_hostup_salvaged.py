"""A create whose answer no reader takes: the key is found over a real socket, or the error names what it can."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress

import pytest

from tests.unit.adapters.hostup_answering import SHORT, hostup
from tests.unit.adapters.salvaging import ACCESS_KEY, LABEL, REQUEST_ID, SECRET, body, head, with_length
from tests.unit.adapters.test_salvage import WHOLE
from tests.wire import Step, Wire, answer, cut
from worker.adapters.http.client import HttpClient
from worker.adapters.http.engine import new_engine
from worker.adapters.http.exchange import Received
from worker.adapters.http.messages import NoResponse, Request, Response
from worker.errors import HostUpError, HostUpRateLimited, HostUpRefused, HostUpUncertain
from worker.rotation.ports import CreatedKey
from worker.secret import Secret

BODY = body()
TAKEN = {
    "Content-Length twice",
    "folded header",
    "bare line feeds",
    "chunks beside a Content-Length",
    "gzip in gzip",
    "byte order mark",
    "the answer twice",
    "UTF-16",
}
"""Odd forms that readers of HTTP and JSON take."""


def create(client: HttpClient, step: Step, deadline: float = 30.0) -> CreatedKey:
    with Wire(step) as wire:
        try:
            return hostup(client, wire.url, deadline).create_key(LABEL)
        finally:
            assert [heard.method for heard in wire.heard] == ["POST"]


def failure(client: HttpClient, data: bytes) -> HostUpError:
    with pytest.raises(HostUpError) as caught:
        create(client, cut(data))
    assert SECRET not in str(caught.value)
    return caught.value


def held_open(data: bytes) -> Step:
    """These bytes, and the connection stays open until the client has had enough."""

    def step(line: socket.socket, _ended: threading.Event) -> bool:
        line.sendall(data)
        return bool(line.recv(1)) and False

    return step


@pytest.mark.parametrize("form", [name for name in WHOLE if name != "no head"])
def test_the_key_is_found(client: HttpClient, form: str) -> None:
    data, wrong = WHOLE[form]
    key = create(client, cut(data))
    assert (key.access_key, key.secret_key) == (ACCESS_KEY, Secret(SECRET))
    assert key.request_id == REQUEST_ID
    if wrong and form not in TAKEN:
        assert set(wrong) <= set(key.salvaged)
    else:
        assert key.salvaged in ((), ("no reader of HTTP and JSON took it",))
    assert SECRET not in repr(key)


@pytest.mark.parametrize("step", [answer(200, BODY), answer(201, BODY)])
def test_what_can_be_read_is_not_searched(client: HttpClient, step: Step) -> None:
    assert create(client, step).salvaged == ()


def test_what_was_wrong_with_the_form_is_told(client: HttpClient) -> None:
    assert create(client, answer(200, b")]}',\n" + BODY)).salvaged == ("text before the JSON",)
    assert create(client, cut(head("X-Powered-By PHP") + BODY)).salvaged == ("a header line without a colon",)
    assert create(client, answer(200, BODY + b" " * 300_000)).salvaged == ("no reader of HTTP and JSON took it",)


def test_an_answer_that_never_ends_is_searched_at_the_deadline(client: HttpClient) -> None:
    data = head(f"Content-Length: {len(BODY) + 2}") + BODY
    key = create(client, held_open(data), SHORT)
    assert key.access_key == ACCESS_KEY
    assert key.salvaged == ("a Content-Length larger than the body",)


def test_without_a_status_the_key_is_retired(client: HttpClient) -> None:
    error = failure(client, BODY)
    assert isinstance(error, HostUpUncertain)
    assert error.access_key == ACCESS_KEY
    assert error.request_id == REQUEST_ID
    assert "no status line" in error.what


def test_an_answer_that_was_cut_in_the_secret_names_the_key(client: HttpClient) -> None:
    error = failure(client, with_length(BODY[: BODY.index(SECRET.encode()) + 20]))
    error_at_the_end = failure(client, head(f"Content-Length: {len(BODY)}") + BODY[: BODY.index(SECRET.encode()) + 20])
    for each in (error, error_at_the_end):
        assert isinstance(each, HostUpUncertain)
        assert each.access_key == ACCESS_KEY
        assert each.request_id == REQUEST_ID
        assert ACCESS_KEY in each.what
        assert "the secret key is not whole" in each.what
        assert SECRET[:8] not in str(each)


@pytest.mark.parametrize("cut_off", [0, 2])
def test_a_key_for_another_label_is_never_ours(client: HttpClient, cut_off: int) -> None:
    data = with_length(b"x" + body(label="another label") + b"x")
    error = failure(client, data[: len(data) - cut_off])
    assert isinstance(error, HostUpUncertain)
    assert error.access_key is None
    assert ACCESS_KEY in error.what
    assert "another label" in error.what
    assert "nothing is deleted by that name" in error.what
    assert "mixed answers up" in error.hint


def test_two_keys_in_one_answer_are_none(client: HttpClient) -> None:
    error = failure(client, with_length(BODY + body(access_key="AKIAOTHER", secret_key="x" * 40)))
    assert isinstance(error, HostUpUncertain)
    assert error.access_key is None
    assert "two different key pairs" in error.what


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (BODY.replace(b"accessKey", b"access_key").replace(b"secretKey", b"secret_key"), "access_key, secret_key"),
        (
            b'{"success":true,"accessKey":"%b","secretKey":"%b"}' % (ACCESS_KEY.encode(), SECRET.encode()),
            "accessKey, secretKey",
        ),
    ],
    ids=["snake_case", "top level"],
)
def test_another_contract_is_told_by_its_names(client: HttpClient, text: bytes, names: str) -> None:
    error = failure(client, with_length(text))
    assert isinstance(error, HostUpUncertain)
    assert error.access_key is None
    assert "the API seems to have changed" in error.what
    assert names in error.what
    assert ACCESS_KEY not in str(error)


def test_a_request_id_is_kept_when_nothing_else_can_be(client: HttpClient) -> None:
    text = b'{"success": true, "requestId": "%b", "dat' % REQUEST_ID.encode()
    for data in (with_length(text), head("Content-Length: 999") + text, head(status="HTTP/1.1 502 Bad") + text):
        error = failure(client, data)
        assert isinstance(error, HostUpUncertain)
        assert (error.request_id, error.access_key) == (REQUEST_ID, None)


class TestErrorStatus:
    """A key in an answer that says that it failed is never published."""

    @pytest.mark.parametrize("status", [302, 400, 408, 409, 429, 500, 503])
    def test_a_whole_pair_is_ours_and_retired(self, client: HttpClient, status: int) -> None:
        error = failure(client, with_length(BODY).replace(b"200 OK", b"%d Whatever" % status, 1))
        assert type(error) is HostUpUncertain
        assert error.access_key == ACCESS_KEY
        assert error.request_id == REQUEST_ID
        assert error.answer.status == status
        assert "beside a status that is no success" in error.what

    def test_also_in_a_bad_form(self, client: HttpClient) -> None:
        error = failure(client, head(": x", status="HTTP/1.1 500 Oh") + BODY)
        assert isinstance(error, HostUpUncertain)
        assert error.access_key == ACCESS_KEY

    @pytest.mark.parametrize(
        ("status", "kind"), [(400, HostUpRefused), (429, HostUpRateLimited), (500, HostUpUncertain)]
    )
    @pytest.mark.parametrize(
        "text",
        [body(label="another label"), BODY.replace(b'"secretKey"', b'"secret"'), BODY[:-30]],
        ids=["another label", "no secret", "cut"],
    )
    def test_anything_less_names_nothing(
        self, client: HttpClient, status: int, kind: type[HostUpError], text: bytes
    ) -> None:
        error = failure(client, with_length(text).replace(b"200 OK", b"%d Whatever" % status, 1))
        assert type(error) is kind
        assert ACCESS_KEY not in str(error)
        assert getattr(error, "access_key", None) is None


class Keeping(HttpClient):
    """Keeps hold of what was received."""

    received: Received | None = None

    def send(self, request: Request, *, fresh: bool = False, keep_raw: bool = False) -> Response:
        try:
            response = super().send(request, fresh=fresh, keep_raw=keep_raw)
        except NoResponse as lost:
            self.received = lost.raw
            raise
        self.received = response.raw
        return response


@pytest.mark.parametrize(
    "data", [with_length(BODY), head(": x") + BODY, with_length(BODY)[:-50]], ids=["good", "salvaged", "cut"]
)
def test_what_was_received_is_wiped(data: bytes) -> None:
    with closing(new_engine()) as engine, Keeping(engine) as client, Wire(cut(data)) as wire:
        with suppress(HostUpUncertain):
            hostup(client, wire.url).create_key(LABEL)
        assert client.received is not None
        assert client.received.reveal() == b""
