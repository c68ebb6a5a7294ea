"""What is read from an answer's headers, and what of its text gets into an error."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from tests.unit.adapters.hostup_answering import API_KEY, REQUEST_ID, SECRET, body, failure_of_create, v1
from tests.wire import answer
from worker.adapters.hostup.answers import LONGEST_QUOTE, quotable, read
from worker.adapters.http.client import HttpClient
from worker.adapters.http.messages import Response
from worker.errors import HostUpRateLimited
from worker.secret import Secret

NOW = datetime(2026, 2, 10, 12, 0, tzinfo=UTC)
EAST = timezone(timedelta(hours=2))


class TestRateLimit:
    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({}, None),
            ({"Retry-After": "17"}, 17),
            ({"retry-after": " 1.5 "}, 1.5),
            ({"Retry-After": format_datetime(NOW + timedelta(seconds=40), usegmt=True)}, 40),
            ({"Retry-After": format_datetime(NOW.astimezone(EAST) + timedelta(seconds=40))}, 40),
            ({"Retry-After": format_datetime(NOW - timedelta(days=1), usegmt=True)}, 0),
            ({"Retry-After": "999999999"}, 86400),
            ({"Retry-After": f"{NOW.timestamp() + 40:.0f}"}, 40),
            ({"Retry-After": f"{(NOW.timestamp() + 40.5) * 1000:.0f}"}, 40.5),
            ({"Retry-After": f"{NOW.timestamp() - 40:.0f}"}, 0),
            ({"Retry-After": f"{(NOW.timestamp() - 40) * 1000:.0f}"}, 0),
            ({"Retry-After": "1e9"}, 0),
            ({"Retry-After": "1e300"}, 86400),
            ({"Retry-After": "0.25"}, 0.25),
            ({"X-RateLimit-Reset": f"{NOW.timestamp() + 60:.0f}"}, 60),
            ({"X-RateLimit-Reset": "60"}, 60),
            ({"X-RateLimit-Reset": "-60"}, None),
            ({"Retry-After": "-3"}, None),
            ({"Retry-After": "nan"}, None),
            ({"Retry-After": "soon"}, None),
            ({"X-RateLimit-Reset": "2026-02-10T12:01:00.000Z"}, 60),
            ({"X-RateLimit-Reset": "2026-02-10T12:01:00"}, 60),
            ({"X-RateLimit-Reset": "never"}, None),
            ({"Retry-After": "soon", "X-RateLimit-Reset": "2026-02-10T12:01:00Z"}, 60),
            ({"Retry-After": "5", "X-RateLimit-Reset": "2026-02-10T12:01:00Z"}, 5),
        ],
    )
    def test_how_long_to_wait(self, headers: dict[str, str], seconds: float | None) -> None:
        assert (
            read(
                Response(429, {name.lower(): value for name, value in headers.items()}, b""), Secret(API_KEY)
            ).retry_after(NOW)
            == seconds
        )

    def test_the_reset_time_counts_for_429_only(self) -> None:
        response = Response(503, {"x-ratelimit-reset": "2026-02-10T12:01:00Z"}, b"")
        assert read(response, Secret(API_KEY)).retry_after(NOW) is None

    def test_is_an_error_of_its_own(self, client: HttpClient) -> None:
        error = failure_of_create(client, answer(429, v1("RATE_LIMITED", "Too many"), {"Retry-After": "12"}))
        assert type(error) is HostUpRateLimited
        assert error.retry_after == 12
        assert error.request_id == REQUEST_ID
        assert "12 s" in error.hint

    def test_a_503_may_tell_too(self, client: HttpClient) -> None:
        assert failure_of_create(client, answer(503, b"", {"Retry-After": "9"})).retry_after == 9


class TestQuoting:
    @pytest.mark.parametrize(
        ("text", "quoted"),
        [
            ("plain words", "plain words"),
            ("two\r\nlines\tand \x1b[31mcolour\u202e", "two lines and [31mcolour"),
            (f"key {API_KEY} is bad", "key *** is bad"),
            (f"secret {SECRET} is bad", "secret *** is bad"),
            (f"id {REQUEST_ID} stays", f"id {REQUEST_ID} stays"),
            ("w " * 2001, "a message of 4002 characters, not shown"),
        ],
    )
    def test_text(self, text: str, quoted: str) -> None:
        assert quotable(text, (API_KEY,)) == quoted

    def test_is_cut(self) -> None:
        quoted = quotable("w " * 200, ())
        assert len(quoted) == LONGEST_QUOTE
        assert quoted.endswith("…")

    def test_a_cut_leaves_no_part_of_a_secret(self) -> None:
        assert API_KEY[:5] not in quotable("x " * 98 + API_KEY, (API_KEY,))

    def test_a_secret_that_the_answer_shows_elsewhere_is_not_quoted(self, client: HttpClient) -> None:
        text = v1("INTERNAL_ERROR", "could not keep sh-ort", data={"key": {"secretKey": ["sh-ort"]}})
        assert "could not keep ***" in failure_of_create(client, answer(500, text)).what

    def test_no_part_of_a_secret_is_left_by_a_shorter_one(self, client: HttpClient) -> None:
        text = v1("INTERNAL_ERROR", "could not keep sh-ort", secret="sh", data={"secretKey": "sh-ort"})
        assert '"could not keep ***"' in failure_of_create(client, answer(500, text)).what

    @pytest.mark.parametrize(("status", "success"), [(200, True), (200, None), (302, True), (302, False)])
    def test_what_is_no_error_is_never_quoted(self, client: HttpClient, status: int, success: object) -> None:
        text = body({}, message="words of a success", code="WORD", title="words", success=success)
        error = failure_of_create(client, answer(status, text))
        assert error.answer.code is None
        assert "words" not in str(error).lower()
