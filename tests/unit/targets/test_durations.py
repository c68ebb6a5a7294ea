from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.targets.durations import LONGEST, SHORTEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1),
        ("90s", 90),
        ("15m", 900),
        ("12h", 43_200),
        ("1h30m", 5_400),
        ("30d", 2_592_000),
        ("2w", 1_209_600),
        ("1w2d3h4m5s", 788_645),
        ("400d", 34_560_000),
        ("010m", 600),
    ],
)
def test_reads_sums_of_units(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "d",
        "1.5h",
        "-1h",
        "+1h",
        "1 h",
        "1h 30m",
        "30m1h",
        "1h1h",
        "1H",
        "1y",
        "1ms",
        "1h\n",
        "٣d",
        "9999999999s",
    ],
)
def test_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a duration; allowed are .*30d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0d0h", "401d", "400d1s", "58w"])
def test_refuses_what_is_too_short_or_too_long(text: str) -> None:
    with pytest.raises(ValueError, match=r'^is out of range; allowed are "1s" to "400d"'):
        parse_duration(text)


@settings(deadline=None)
@given(st.integers(int(SHORTEST.total_seconds()), int(LONGEST.total_seconds())))
def test_what_is_written_is_read_back(seconds: int) -> None:
    assert parse_duration(format_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


def test_writes_days_rather_than_weeks() -> None:
    assert format_duration(timedelta(days=30, hours=1)) == "30d1h"
    assert format_duration(timedelta()) == "0s"
