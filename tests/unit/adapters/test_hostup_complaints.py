"""The cause of an error is told, in whatever shape HostUp or a gateway in front of it says it."""

from __future__ import annotations

import json

import pytest

from tests.unit.adapters.hostup_answering import API_KEY, failure_of_create
from tests.wire import answer
from worker.adapters.hostup.answers import read
from worker.adapters.hostup.complaints import complaints, is_page
from worker.adapters.http.client import HttpClient
from worker.adapters.http.messages import Response
from worker.errors import HostUpRefused, HostUpUncertain
from worker.secret import Secret

PAGE = b"<!DOCTYPE html><html><title>Just a moment...</title></html>"
RAY = "8f1b2c3d4e5f6a7b-ARN"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"message": "no"}, ["no"]),
        ({"detail": "no"}, ["no"]),
        ({"title": "Bad", "detail": "label is too long"}, ["label is too long"]),
        ({"error": "invalid_request"}, ["invalid_request"]),
        ({"error": "invalid_request", "error_description": "label lacks"}, ["label lacks"]),
        ({"error": {"message": "no", "code": 7}}, ["no"]),
        ({"error": {"detail": "no"}}, ["no"]),
        ({"errors": ["one", "two"]}, ["one", "two"]),
        ({"errors": [{"message": "one"}, {"detail": "two"}]}, ["one", "two"]),
        ({"errors": [{"field": "label", "message": "too long"}]}, ["label: too long"]),
        ({"errors": {"label": ["too long", "odd"], "x": "y"}}, ["label: too long", "label: odd", "x: y"]),
        ({"message": "Validation failed", "errors": {"label": ["too long"]}}, ["Validation failed", "label: too long"]),
        ({"error": ["one", ["two", {"message": "three"}]]}, ["one", "two", "three"]),
        ({"message": "no", "error": "no"}, ["no"]),
        ({"errors": [str(number) for number in range(100)]}, ["0", "1", "2", "3", "4"]),
        ({"error": None, "errors": 5, "message": ["x"]}, []),
        ({"error": True}, []),
        ({"message": " "}, []),
        ({}, []),
        (None, []),
    ],
)
def test_every_shape_of_an_error_is_understood(document: dict[str, object] | None, said: list[str]) -> None:
    assert complaints(document) == said


@pytest.mark.parametrize(
    "shape", [{"error": "X"}, {"error": {"message": "X"}}, {"errors": ["X"]}, {"errors": {"f": ["X"]}}]
)
def test_no_shape_lets_a_secret_through(shape: dict[str, object]) -> None:
    secret = "s3cr3t/" + "x" * 33
    body = json.dumps(shape).replace("X", f"{API_KEY} and {secret} of it").encode()
    response = read(Response(400, {}, body), Secret(API_KEY))
    assert "of it" in response.summary()
    assert API_KEY not in response.summary()
    assert secret not in response.summary()


def test_it_stays_on_one_short_line() -> None:
    body = json.dumps({"errors": ["a\nb" * 60, "c" * 190]}).encode()
    message = read(Response(400, {}, body), Secret(API_KEY)).message
    assert "\n" not in message
    assert len(message) <= 200


def test_a_success_that_says_that_it_failed_is_quoted(client: HttpClient) -> None:
    body = json.dumps({"success": False, "error": {"message": "quota exceeded"}}).encode()
    error = failure_of_create(client, answer(200, body))
    assert type(error) is HostUpUncertain
    assert 'says that it failed: "quota exceeded"' in error.what


@pytest.mark.parametrize("status", [401, 403, 406, 451])
def test_a_page_of_a_gateway_is_not_the_api_keys_fault(client: HttpClient, status: int) -> None:
    error = failure_of_create(client, answer(status, PAGE, {"Content-Type": "text/html", "CF-RAY": RAY}))
    assert type(error) is HostUpRefused
    assert f"{status}, a web page (cf-ray {RAY})" in error.what
    assert "A gateway in front of HostUp blocked the call" in error.hint
    assert RAY in error.hint
    assert "HOSTUP_API_KEY" not in error.hint


@pytest.mark.parametrize("status", [200, 502, 503, 520])
def test_a_page_in_place_of_an_answer_is_called_one(client: HttpClient, status: int) -> None:
    assert "web page" in failure_of_create(client, answer(status, PAGE)).what


def test_a_ray_that_is_none_is_not_quoted(client: HttpClient) -> None:
    error = failure_of_create(client, answer(403, PAGE, {"CF-RAY": "x y; secret=1"}))
    assert "cf-ray" not in str(error)


@pytest.mark.parametrize("status", [401, 403])
def test_an_honest_refusal_still_speaks_of_the_api_key(client: HttpClient, status: int) -> None:
    error = failure_of_create(client, answer(status, json.dumps({"message": "no"}).encode()))
    assert "HOSTUP_API_KEY" in error.hint


@pytest.mark.parametrize("status", [409, 422])
def test_a_limit_of_keys_says_what_gives_a_place_free(client: HttpClient, status: int) -> None:
    error = failure_of_create(client, answer(status, json.dumps({"error": "Key limit reached"}).encode()))
    assert "Key limit reached" in error.what
    assert "a place comes free when a retiring key is deleted" in error.hint


@pytest.mark.parametrize(
    ("headers", "body", "page"),
    [
        ({"content-type": "text/html; charset=utf-8"}, b"", True),
        ({}, b"  <html>", True),
        ({"content-type": "application/json"}, b"{}", False),
        ({}, b"oops", False),
    ],
)
def test_what_a_page_is(headers: dict[str, str], body: bytes, page: bool) -> None:  # noqa: FBT001 - a test's case
    assert is_page(Response(403, headers, body)) is page
