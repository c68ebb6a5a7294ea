"""How long a key has to go on working for who reads it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.targets.durations import LONGEST, SHORTEST
from worker.targets.readers import KINDS, Needed, Reader, least_grace, parse_reader

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("process", MINUTE),
        ("endpoint", MINUTE),
        ("python", MINUTE),
        ("render", MINUTE),
        ("render:5m", 6 * MINUTE),
        ("run:30s", timedelta(seconds=150)),
        ("poll:1m", 3 * MINUTE),
        ("agent:5m", 11 * MINUTE),
        ("eso:5m", 20 * MINUTE),
        ("vso:5m", 20 * MINUTE),
        ("restart:1d", timedelta(days=1, minutes=10)),
    ],
)
def test_what_each_reader_needs(text: str, needs: timedelta) -> None:
    assert parse_reader(text).needs == needs
    assert str(parse_reader(text)) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is no reader; allowed are process, endpoint"),
        ("agnet:5m", "is no reader; did you mean agent? allowed are"),
        ("Agent:5m", "is no reader"),
        (" endpoint", "is no reader"),
        ("endpoint:5m", "must not have a duration; write endpoint"),
        ("endpoint:", "must not have a duration"),
        ("agent", "lacks its duration, such as agent:5m"),
        ("agent:", "is not a duration"),
        ("agent:0s", "is out of range"),
        ("agent:5m:5m", "is not a duration"),
        ("restart:daily", "is not a duration"),
    ],
)
def test_what_is_no_reader(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match="^" + re.escape(problem)):
        parse_reader(text)


def test_nobody_named_needs_nothing() -> None:
    assert least_grace((), None) is None


def test_the_slowest_reader_counts() -> None:
    readers = [parse_reader(text) for text in ("endpoint", "eso:5m", "agent:5m")]
    assert least_grace(readers, None) == Needed(20 * MINUTE, 'reader "eso:5m"')


def test_links_may_be_signed_in_the_last_moment_before_a_reader_notices() -> None:
    hour = timedelta(hours=1)
    assert least_grace([parse_reader("agent:5m")], hour) == Needed(
        hour + 11 * MINUTE, 'reader "agent:5m" (11m) and then presign_ttl (1h)'
    )
    assert least_grace([], hour) == Needed(hour + MINUTE, "noticing a key (1m) and then presign_ttl (1h)")


durations = st.integers(int(SHORTEST.total_seconds()), int(LONGEST.total_seconds())).map(lambda s: timedelta(seconds=s))


@given(st.sampled_from(sorted(KINDS)), durations, durations)
def test_who_looks_more_seldom_never_needs_less(kind: str, one: timedelta, other: timedelta) -> None:
    slow, quick = Reader(kind, max(one, other)), Reader(kind, min(one, other))
    assert slow.needs >= quick.needs >= MINUTE
    assert KINDS[kind].duration == "none" or slow.needs >= slow.every


@given(st.lists(st.builds(Reader, st.sampled_from(sorted(KINDS)), durations)), st.none() | durations)
def test_no_reader_needs_more_than_the_least_grace(readers: list[Reader], ttl: timedelta | None) -> None:
    needed = least_grace(readers, ttl)
    least = needed.grace if needed else timedelta(0)
    assert all(reader.needs + (ttl or timedelta(0)) <= least for reader in readers)
    assert least >= (ttl or timedelta(0))
