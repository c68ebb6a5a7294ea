"""Moments and numbers that are read of Redis: what cannot be one is none, and no end is further away than it may be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records import MINUTE, NOW, SECOND
from worker.adapters.redis.reading import (
    LATEST,
    Sighting,
    StoredRequest,
    as_written,
    checked,
    count,
    seconds,
    since,
    until,
)

NONE: tuple[object, ...] = ("", "nan", "inf", "-inf", "-1", "0", "1e308", "9" * 400, "soon", None, b"5", [], "1_0e400")


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_moment_is_none(text: object) -> None:
    assert seconds(text) is None
    assert until(text, NOW, MINUTE) is None
    assert since(text, NOW) is None


@given(st.text() | st.floats().map(str) | st.integers().map(str))
def test_no_end_is_further_away_than_it_may_be(text: str) -> None:
    found = until(text, NOW, MINUTE)
    assert found is None or NOW < found <= NOW + MINUTE
    begun = since(text, NOW)
    assert begun is None or begun <= NOW + timedelta(minutes=5)
    number = count(text)
    assert number is None or abs(number) <= 10**6


def test_what_is_right_stays() -> None:
    assert until(str((NOW + SECOND).timestamp()), NOW, MINUTE) == NOW + SECOND
    assert since(str(NOW.timestamp()), NOW) == NOW
    assert seconds(str(LATEST.timestamp())) is None
    assert [count(text) for text in ("3", "-2", "0", "+1", "1.5", "\u0663", "1000001")] == [
        3,
        -2,
        0,
        None,
        None,
        None,
        None,
    ]


@given(st.text() | st.binary().map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_any_text_is_a_document_or_none(text: str) -> None:
    assert checked(Sighting, text) is None
    assert checked(StoredRequest, text) is None


def test_a_document_comes_back_as_it_was_written() -> None:
    text = '{"last_seen_living_at": null, "last_watched_at": "2026-11-24T12:00:00+00:00", "watch_found": ""}'
    found = checked(Sighting, text)
    assert found is not None
    assert as_written(found)["last_watched_at"] == "2026-11-24T12:00:00+00:00"
    assert checked(Sighting, text.replace("+00:00", "")) is None, "a moment has a zone"
    assert checked(Sighting, text + " " * 70_000) is None
