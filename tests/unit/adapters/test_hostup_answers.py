"""What the HostUp client makes of every kind of answer to a create, over a real socket."""

from __future__ import annotations

import json
import re

import pytest

from tests.unit.adapters.hostup_answering import (
    API_KEY,
    REQUEST_ID,
    SECRET,
    body,
    created,
    failure_of_create,
    hostup,
    problem,
    v1,
)
from tests.wire import Wire, answer
from worker.adapters.hostup.values import LONGEST_NAME
from worker.adapters.http.client import HttpClient
from worker.adapters.http.engine import USER_AGENT
from worker.errors import (
    HostUpRefused,
    HostUpUncertain,
)
from worker.rotation.ports import CreatedKey
from worker.secret import Secret


class TestCreate:
    def test_sends_what_the_contract_asks_for(self, client: HttpClient) -> None:
        with Wire(answer(200, created(label="media-uploads ✓"))) as wire:
            hostup(client, wire.url + "/").create_key("media-uploads ✓")
        (heard,) = wire.heard
        assert (heard.method, heard.target) == ("POST", "/api/object-storage/keys")
        assert json.loads(heard.body) == {"label": "media-uploads ✓"}
        assert heard.headers["x-api-key"] == API_KEY
        assert heard.headers["content-type"] == "application/json"
        assert heard.headers["user-agent"] == USER_AGENT

    @pytest.mark.parametrize("status", [200, 201])
    def test_hands_over_the_key(self, client: HttpClient, status: int) -> None:
        with Wire(answer(status, created())) as wire:
            key = hostup(client, wire.url).create_key("a label")
        assert key == CreatedKey("AKIAEXAMPLE", Secret(SECRET), REQUEST_ID)
        assert SECRET not in repr(key)

    @pytest.mark.parametrize(
        "request_id",
        [None, 17, "", "  ", ["x"], "a\nb", "a\x7fb", ".", "..", "x" * (LONGEST_NAME + 1), SECRET, f"id-{API_KEY}"],
    )
    def test_tolerates_a_missing_or_strange_request_id(self, client: HttpClient, request_id: object) -> None:
        document = {"data": {"key": {"accessKey": "AKIAEXAMPLE", "secretKey": SECRET}}, "requestId": request_id}
        with Wire(answer(200, json.dumps(document).encode())) as wire:
            key = hostup(client, wire.url).create_key("a label")
        odd = () if request_id is None else key.salvaged
        assert key == CreatedKey("AKIAEXAMPLE", Secret(SECRET), None, odd)
        assert [each.startswith("the requestId ") for each in key.salvaged] == [True] * (request_id is not None)
        assert SECRET not in repr(key)
        assert API_KEY not in repr(key)

    def test_never_drops_a_key_that_came_with_success_false(self, client: HttpClient) -> None:
        data = {"key": {"accessKey": "AKIAEXAMPLE", "secretKey": SECRET}}
        with Wire(answer(200, body(data, success=False))) as wire:
            assert hostup(client, wire.url).create_key("a label").access_key == "AKIAEXAMPLE"


REFUSED: list[tuple[int, bytes, str | None, str | None, str]] = [
    # status, body, requestId, code, words of the message
    (400, v1("BAD_REQUEST", "label must be one of: Example Label"), REQUEST_ID, "BAD_REQUEST", "label must be one of"),
    (400, problem("Bad Request", "the label is taken"), REQUEST_ID, "V2_CODE", "the label is taken"),
    (400, problem("Only a title"), REQUEST_ID, "V2_CODE", "Only a title"),
    (400, b'{"message": "no id"}', None, None, "no id"),
    (400, b'{"code": 12, "message": ["x"], "requestId": {}}', None, None, "400"),
    (400, v1("two words", "m"), REQUEST_ID, None, "400"),
    (401, v1("UNAUTHORIZED", "Invalid API key"), REQUEST_ID, "UNAUTHORIZED", "HOSTUP_API_KEY"),
    (403, v1("FORBIDDEN", "Missing scope"), REQUEST_ID, "FORBIDDEN", "HOSTUP_API_KEY"),
    (403, v1("FORBIDDEN", "Cloud features require identity verification"), REQUEST_ID, "FORBIDDEN", "Verify the iden"),
    (404, b"<html>nginx</html>", None, None, "hostup.base_url"),
    (409, b"[]", None, None, "not a JSON object"),
    (422, v1("VALIDATION", "label"), REQUEST_ID, "VALIDATION", "label"),
    (301, b"", None, None, "hostup.base_url"),
    (304, b"", None, None, "hostup.base_url"),
]


@pytest.mark.parametrize(("status", "text", "request_id", "code", "words"), REFUSED)
def test_a_clear_no_is_refused(
    client: HttpClient, status: int, text: bytes, request_id: str | None, code: str | None, words: str
) -> None:
    error = failure_of_create(client, answer(status, text))
    assert type(error) is HostUpRefused
    assert (error.answer.operation, error.answer.status, error.answer.code) == ("create_key", status, code)
    assert error.request_id == request_id
    assert words in str(error)
    assert error.hint


OF_MEDIA: list[tuple[int, bytes, str]] = [
    # status, body, words of the hint
    (
        401,
        v1("UNAUTHORIZED", "Invalid API key"),
        "HOSTUP_API_KEY_MEDIA, or api_key_file or api_key_path of [[account]]",
    ),
    (403, v1("FORBIDDEN", "Missing scope"), "HOSTUP_API_KEY_MEDIA, or api_key_file or api_key_path of [[account]]"),
    (403, v1("FORBIDDEN", "Cloud features require identity verification"), "HOSTUP_API_KEY_MEDIA"),
    (404, b"<html>nginx</html>", "base_url of [[account]] media"),
    (405, b"", "base_url of [[account]] media"),
    (301, b"", "base_url of [[account]] media"),
]


@pytest.mark.parametrize(("status", "text", "words"), OF_MEDIA)
@pytest.mark.parametrize("call", ["create", "status"])
def test_the_hint_of_a_second_account_names_its_own_settings(
    client: HttpClient, status: int, text: bytes, words: str, call: str
) -> None:
    with Wire(answer(status, text)) as wire:
        calls = hostup(client, wire.url, account="media")
        with pytest.raises(HostUpRefused) as caught:
            calls.create_key("a label") if call == "create" else calls.status()
    assert words in caught.value.hint
    assert re.search(r"HOSTUP_API_KEY\b(?!_)|hostup\.base_url", caught.value.hint) is None


UNCERTAIN: list[tuple[int, bytes, str | None]] = [
    # status, body, requestId
    (408, v1("TIMEOUT", "too slow"), REQUEST_ID),
    (500, v1("INTERNAL_ERROR", "An unexpected error occurred"), REQUEST_ID),
    (500, b'{"code": "INTERNAL_ERROR", "error": "Internal Server Error", "message": "An unexpected error"}', None),
    (502, b"<html><h1>502 Bad Gateway</h1></html>", None),
    (503, b"", None),
    (504, problem("Gateway Timeout"), REQUEST_ID),
    (600, b"", None),
    (200, b"", None),
    (200, b"<html>maintenance</html>", None),
    (200, b"\xff\xfe\x00", None),
    (200, b"[" * 100_000, None),
    (200, b"null", None),
    (200, b'[{"requestId": "x"}]', None),
    (200, b" " * 300_000, None),
    (200, body(None), REQUEST_ID),
    (200, body([]), REQUEST_ID),
    (200, body({"key": "AKIA"}), REQUEST_ID),
    (200, body({"key": {}}, success=False, message="oh no"), REQUEST_ID),
    (200, created(accessKey=None), REQUEST_ID),
    (200, created(accessKey=["AKIAEXAMPLE"]), REQUEST_ID),
    (200, created(accessKey="has blanks"), REQUEST_ID),
    (200, created(accessKey="line\nend"), REQUEST_ID),
    (200, created(accessKey="\ud800"), REQUEST_ID),
    (200, created(accessKey="x" * 257), REQUEST_ID),
    (200, created(accessKey=SECRET), REQUEST_ID),
    (202, b"{}", None),
    (204, b"", None),
]


@pytest.mark.parametrize(("status", "text", "request_id"), UNCERTAIN)
def test_what_proves_nothing_is_uncertain(client: HttpClient, status: int, text: bytes, request_id: str | None) -> None:
    error = failure_of_create(client, answer(status, text))
    assert isinstance(error, HostUpUncertain)
    assert error.answer.status == status
    assert error.request_id == request_id
    assert error.access_key is None
    assert "a label" in error.what
    assert str(status) in error.what


@pytest.mark.parametrize(
    ("access_key", "words"),
    [
        (17, "the access key is not a text"),
        ("", "the access key is empty"),
        ("AKIA EXAMPLE", "the access key holds blanks"),
        ("AKIA\x1bEXAMPLE", "the access key holds control characters"),
        (".", "the access key is a dot or two"),
        ("..", "the access key is a dot or two"),
        ("x" * 129, "the access key has more than 128 characters"),
        (SECRET, "the access key holds a secret"),
        (f"id-{API_KEY}", "the access key holds a secret"),
    ],
)
def test_what_cannot_be_an_access_key_is_told(client: HttpClient, access_key: object, words: str) -> None:
    error = failure_of_create(client, answer(200, created(accessKey=access_key)))
    assert isinstance(error, HostUpUncertain)
    assert words in error.what
    assert error.access_key is None
    assert SECRET not in str(error)


SECRETS = [
    (None, "is not a text"),
    ("", "is empty"),
    (5, "is not a text"),
    ({"value": "x"}, "is not a text"),
    ("a b", "holds blanks"),
    ("tab\t", "holds blanks"),
    ("x" * 15, "has fewer than 16 characters"),
    ("x" * 257, "has more than 256 characters"),
    ("x" * 20 + "\x7f", "holds control characters"),
]


@pytest.mark.parametrize(("secret", "words"), SECRETS)
def test_an_access_key_without_a_usable_secret_is_named(client: HttpClient, secret: object, words: str) -> None:
    error = failure_of_create(client, answer(200, created(secretKey=secret)))
    assert isinstance(error, HostUpUncertain)
    assert f"shows the access key AKIAEXAMPLE, but the secret key {words}" in error.what
    assert error.access_key == "AKIAEXAMPLE"
    assert error.request_id == REQUEST_ID


@pytest.mark.parametrize("name", ["accessKey", "secretKey", "label"])
def test_a_name_that_stands_twice_makes_the_key_unusable(client: HttpClient, name: str) -> None:
    text = created().replace(b'"key": {', f'"key": {{"{name}": "another0123456789", '.encode())
    error = failure_of_create(client, answer(200, text))
    assert isinstance(error, HostUpUncertain)
    assert error.access_key is None
    assert f"these names stand twice in it: {name}" in error.what


@pytest.mark.parametrize("label", ["another label", "a label 2", "alabel", "", " ", 5, ["a label"]])
@pytest.mark.parametrize("more", [{}, {"secretKey": None}], ids=["pair", "no secret"])
def test_a_key_for_another_label_is_not_ours(client: HttpClient, label: object, more: dict[str, object]) -> None:
    error = failure_of_create(client, answer(200, created(label=label, **more)))
    assert isinstance(error, HostUpUncertain)
    assert error.access_key is None
    assert error.request_id == REQUEST_ID
    assert "AKIAEXAMPLE with another label" in error.what
    assert "mixed answers up" in error.hint


@pytest.mark.parametrize("label", ["A LABEL", " a label\t", "a  label", "a\u00a0label", "\uff41 label"])
def test_a_label_that_the_server_tidied_up_is_the_same(client: HttpClient, label: str) -> None:
    with Wire(answer(200, created(label=label))) as wire:
        assert hostup(client, wire.url).create_key("a label").access_key == "AKIAEXAMPLE"


def test_a_label_that_was_cut_is_told_as_such(client: HttpClient) -> None:
    error = failure_of_create(client, answer(200, created(label="a lab")))
    assert isinstance(error, HostUpUncertain)
    assert error.access_key is None
    assert "HostUp seems to cut labels" in error.hint


def test_an_answer_without_a_label_is_ours(client: HttpClient) -> None:
    with Wire(answer(200, created(label=None))) as wire:
        assert hostup(client, wire.url).create_key("a label").access_key == "AKIAEXAMPLE"


def test_an_access_key_in_an_answer_that_was_cut_is_named(client: HttpClient) -> None:
    error = failure_of_create(client, answer(200, created()[:-9]))
    assert isinstance(error, HostUpUncertain)
    assert error.access_key == "AKIAEXAMPLE"
    assert error.request_id == REQUEST_ID


def test_an_error_that_names_a_key_does_not_make_it_ours(client: HttpClient) -> None:
    # it might be anybody's; only a 2xx hands over a key, and what is handed over gets deleted
    error = failure_of_create(client, answer(500, created(secretKey=None)))
    assert isinstance(error, HostUpUncertain)
    assert error.access_key is None
