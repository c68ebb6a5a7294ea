"""What apps say of the keys that they use: anybody with an app's token may write anything there."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records import NOW
from worker.targets.receipts import (
    BEAT,
    FORGOTTEN_AFTER,
    GONE_AFTER,
    LONGEST_NAME,
    LONGEST_TEXT,
    MOST_READERS,
    Receipt,
    encode,
    reader_name,
    receipts_in,
    with_receipt,
)

SECOND = timedelta(seconds=1)
RECEIPT = Receipt("web-1 endpoint", "AK1", 3, "rotation-1", NOW, NOW)
SAID = json.loads(encode(RECEIPT))


def said(**changes: Any) -> str:
    return json.dumps(SAID | changes)


def test_what_is_written_is_read_back() -> None:
    assert receipts_in(with_receipt({}, RECEIPT)).known == (RECEIPT,)


@pytest.mark.parametrize(
    "text",
    [
        None,
        5,
        ["x"],
        {"access_key": "AK1"},
        "",
        "null",
        "[]",
        "{",
        "[" * LONGEST_TEXT,
        said(access_key=""),
        said(access_key=5),
        said(access_key="A" * 129),
        said(rotation_id=None),
        said(version=-1),
        said(version=True),
        said(version="3"),
        said(version=1e300),
        said(version=2**60),
        said(since="yesterday"),
        said(since=1),
        said(seen="2026-11-24T12:00:00"),
        said(seen="0001-01-01T00:00:00+23:59"),
        said(seen="9999-12-31T23:59:59-23:59"),
        said(before=None),
        said(more="x" * LONGEST_TEXT),
    ],
)
def test_what_is_no_receipt_is_counted_and_not_believed(text: Any) -> None:
    found = receipts_in({"web-1": text, "web-2": encode(RECEIPT)})
    assert [receipt.reader for receipt in found.known] == ["web-2"]
    assert found.spoiled == 1


@pytest.mark.parametrize("name", ["", "x" * (LONGEST_NAME + 1)])
def test_a_name_that_is_none_is_not_believed(name: str) -> None:
    assert receipts_in({name: encode(RECEIPT)}).known == ()


def test_no_more_readers_are_looked_at_than_there_can_be() -> None:
    found = receipts_in({f"web-{number}": encode(RECEIPT) for number in range(3 * MOST_READERS)})
    assert (len(found.known), found.spoiled) == (MOST_READERS, 2 * MOST_READERS)


def test_a_reader_keeps_since_when_it_has_a_key_and_notes_the_one_before() -> None:
    data = with_receipt({}, RECEIPT)
    data = with_receipt(data, Receipt("web-1 endpoint", "AK1", 4, "rotation-1", NOW + BEAT, NOW + BEAT))
    assert receipts_in(data).known == (Receipt("web-1 endpoint", "AK1", 4, "rotation-1", NOW, NOW + BEAT),)
    later = NOW + 2 * BEAT
    data = with_receipt(data, Receipt("web-1 endpoint", "AK2", 5, "rotation-2", later, later))
    data = with_receipt(data, Receipt("web-1 endpoint", "AK2", 5, "rotation-2", later + BEAT, later + BEAT))
    assert receipts_in(data).known == (
        Receipt("web-1 endpoint", "AK2", 5, "rotation-2", later, later + BEAT, before="AK1"),
    )


def test_readers_that_have_long_been_silent_are_dropped_and_others_stay() -> None:
    data = with_receipt({}, RECEIPT)
    late = NOW + FORGOTTEN_AFTER
    data = with_receipt(data, Receipt("web-2 endpoint", "AK1", 3, "rotation-1", late, late))
    assert set(data) == {"web-1 endpoint", "web-2 endpoint"}
    data = with_receipt(data, Receipt("web-2 endpoint", "AK1", 3, "rotation-1", late, late + SECOND))
    assert set(data) == {"web-2 endpoint"}


def test_a_reader_is_gone_after_an_hour_of_silence() -> None:
    assert not RECEIPT.is_gone(NOW + GONE_AFTER)
    assert RECEIPT.is_gone(NOW + GONE_AFTER + SECOND)
    assert GONE_AFTER > 3 * BEAT


def test_a_document_stays_small_however_many_readers_there_are() -> None:
    data: dict[str, object] = {}
    for number in range(MOST_READERS + 50):
        moment = NOW + number * SECOND
        data = with_receipt(data, Receipt(f"{number:0>{LONGEST_NAME}}", "A" * 128, 3, "r" * 128, moment, moment))
    assert len(data) == MOST_READERS
    assert f"{MOST_READERS + 49:0>{LONGEST_NAME}}" in data
    assert f"{0:0>{LONGEST_NAME}}" not in data
    assert all(len(str(text)) <= LONGEST_TEXT for text in data.values())
    assert receipts_in(data).spoiled == 0


def test_a_host_may_be_called_anything() -> None:
    name = reader_name("web\x1b[2J\n" + "x" * 200, "endpoint")
    assert name.isprintable()
    assert len(name) == LONGEST_NAME


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
texts = st.text(max_size=100) | st.builds(
    lambda more: json.dumps(SAID | more), st.dictionaries(st.sampled_from(sorted(SAID)), anything, max_size=3)
)


@given(st.dictionaries(st.text(max_size=20), texts | anything, max_size=5))
def test_whatever_lies_there_is_read_and_can_be_written_over(data: dict[str, Any]) -> None:
    found = receipts_in(data)
    assert len(found.known) + found.spoiled == len(data)
    assert RECEIPT.reader in with_receipt(data, RECEIPT)
