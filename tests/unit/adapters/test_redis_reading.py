"""Moments and numbers that are read of Redis: what cannot be one is none, and no end is further away than it may be."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records import MINUTE, NOW, SECOND, current, one_of_each, retiring
from tests.worlds import TARGET
from worker.adapters.redis.reading import (
    LATEST,
    Sighting,
    StoredRequest,
    Summary,
    as_written,
    checked,
    count,
    seconds,
    since,
    until,
)
from worker.errors import RecordUnreadable
from worker.rotation.record import Record
from worker.rotation.status import summary_of, unusable

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


@pytest.mark.parametrize("record", [*one_of_each()])
def test_every_summary_that_we_write_is_read(record: Record) -> None:
    written = summary_of(record, TARGET, NOW)
    found = checked(Summary, json.dumps(written))
    assert found is not None
    assert as_written(found) == written


def test_the_summary_of_a_record_that_cannot_be_used_is_read() -> None:
    written = unusable(RecordUnreadable("it is no JSON", target="media", hint="Repair it."), "media")
    found = checked(Summary, json.dumps(written))
    assert found is not None
    assert as_written(found) == written


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\n", "a\u202e", "a\u0085", "\ud800", "a" * 201])
def test_a_name_that_moves_a_cursor_or_is_too_long_is_none_of_ours(name: str) -> None:
    record = replace(next(one_of_each()), current=current(name), retiring=(retiring("AK9"),))
    assert checked(Summary, json.dumps(summary_of(record, TARGET, NOW))) is None
