from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from worker.targets.schedule import Schedule, next_due, parse_cron, parse_window

STOCKHOLM = ZoneInfo("Europe/Stockholm")
NIGHT = parse_window("02:00-05:00 Europe/Stockholm")


def test_targets_are_spread_over_the_window() -> None:
    last = datetime(2026, 6, 1, 12, tzinfo=UTC)
    schedule = Schedule(every=timedelta(days=1), window=NIGHT)
    starts = {next_due(schedule, f"target-{number}", last, last).astimezone(STOCKHOLM) for number in range(300)}
    assert len(starts) == 300
    assert {start.date().isoformat() for start in starts} == {"2026-06-02"}, "one later would be too late"
    assert min(Counter(start.hour for start in starts).values()) > 60


def test_where_the_clock_goes_back_a_key_is_not_rotated_twice_in_one_opening() -> None:
    last = datetime(2026, 10, 24, 2, 30, tzinfo=STOCKHOLM).astimezone(UTC)
    schedule = Schedule(every=timedelta(days=1), window=NIGHT)  # which opens 25 hours after it opened before
    for number in range(50):
        due = next_due(schedule, f"target-{number}", last, last)
        assert due.astimezone(STOCKHOLM).date().isoformat() == "2026-10-25"


def test_a_due_moment_within_the_window_stays_where_it_is() -> None:
    last = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)  # 02:30 in Stockholm
    schedule = Schedule(every=timedelta(hours=1), window=NIGHT)
    bare = Schedule(every=timedelta(hours=1))
    assert next_due(schedule, "media", last, last) == next_due(bare, "media", last, last)


@pytest.mark.parametrize("now", ["2026-06-01T05:00:00+02:00", "2026-06-01T11:00:00+02:00"])
def test_who_missed_the_window_waits_for_the_next_one(now: str) -> None:
    last = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)
    schedule = Schedule(every=timedelta(hours=1), window=NIGHT)
    due = next_due(schedule, "media", last, datetime.fromisoformat(now))
    assert due.astimezone(STOCKHOLM).date().isoformat() == "2026-06-02"


@pytest.mark.parametrize(
    ("window", "day", "opens", "closes"),
    [
        ("02:00-05:00", "2026-06-01", "02:00+02:00", "05:00+02:00"),
        ("22:00-02:00", "2026-06-01", "22:00+02:00", "02:00+02:00"),
        ("02:00-05:00", "2026-03-29", "03:00+02:00", "05:00+02:00"),  # the hour from 02:00 does not exist
        ("01:00-02:30", "2026-03-29", "01:00+01:00", "01:30+01:00"),  # ends within it
        ("02:10-02:50", "2026-03-29", "02:10+02:00", "02:50+02:00"),  # lies within it: the night after
        ("02:30-04:00", "2026-10-25", "02:30+01:00", "04:00+01:00"),  # opens when 02:30 comes the second time
        ("01:00-02:30", "2026-10-25", "01:00+02:00", "02:30+02:00"),  # closes when it comes the first time
        ("02:10-02:50", "2026-10-25", "02:10+02:00", "02:50+02:00"),  # opens the first time only
    ],
)
def test_an_opening_where_the_clock_jumps(window: str, day: str, opens: str, closes: str) -> None:
    noon_before = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=STOCKHOLM) - timedelta(days=1)
    found = parse_window(f"{window} Europe/Stockholm").first_ending_after(noon_before.astimezone(UTC))
    assert [moment.astimezone(STOCKHOLM).isoformat(timespec="minutes")[11:] for moment in found] == [opens, closes]


@pytest.mark.parametrize(
    ("cron", "last", "due"),
    [
        ("0 3 1 * *", "2026-06-01T02:59:59+02:00", "2026-06-01T03:00:00+02:00"),
        ("0 3 1 * *", "2026-06-01T03:00:00+02:00", "2026-07-01T03:00:00+02:00"),
        ("30 2 * * *", "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00"),  # 02:30 does not exist
        ("30 2 * * *", "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"),  # not again at the second 02:30
        ("30 2 * * *", "2026-10-25T02:15:00+01:00", "2026-10-26T02:30:00+01:00"),  # the first 02:30 is over
        ("0,30 2 * * *", "2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"),  # both fall on 03:00: once
    ],
)
def test_cron_runs_by_the_clock_of_its_zone(cron: str, last: str, due: str) -> None:
    schedule = Schedule(cron=cron, window=parse_window("00:00-23:59 Europe/Stockholm"))
    assert schedule.after(datetime.fromisoformat(last), 0.0) == datetime.fromisoformat(due)


def test_cron_without_a_window_runs_in_utc() -> None:
    assert Schedule(cron="0 3 * * *").after(datetime(2026, 3, 29, 1, tzinfo=UTC), 0.0) == datetime(
        2026, 3, 29, 3, tzinfo=UTC
    )


def test_a_jitter_of_its_own_replaces_the_default() -> None:
    last = datetime(2026, 6, 1, tzinfo=UTC)
    every = Schedule(every=timedelta(days=30), jitter=timedelta(days=3))
    assert every.after(last, 0.5) == last + timedelta(days=28.5)
    cron = Schedule(cron="0 3 * * *", jitter=timedelta(hours=2))
    assert cron.after(last, 0.5) == last + timedelta(hours=4)


@pytest.mark.parametrize(
    ("schedule", "gap"),
    [
        (Schedule(every=timedelta(hours=5)), timedelta(hours=5)),
        (Schedule(cron="0 3 1 * *"), timedelta(days=28)),
        (Schedule(cron="0 3 * * *", window=NIGHT), timedelta(days=1)),  # and not 23 hours, as on one day in spring
        (Schedule(cron="*/7 * * * *"), timedelta(minutes=4)),
        (Schedule(cron="0 0 29 2 *"), timedelta(days=1461)),
        (Schedule(cron="10,15 4 * * *"), timedelta(minutes=5)),
    ],
)
def test_the_shortest_gap(schedule: Schedule, gap: timedelta) -> None:
    assert schedule.shortest_gap() == gap


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 3 30 2 *", "is not a possible cron expression"),
        ("0 3 31 4,6 *", "is not a possible cron expression"),
        ("61 * * * *", "Bad minute"),
        ("0 3 1 *", "five fields"),
        ("0 0 3 1 * *", "five fields"),
        ("@daily", "five fields"),
        ("", "five fields"),
    ],
)
def test_refuses_a_cron_expression_that_never_comes_true(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"{why}.*allowed are minute, hour"):
        parse_cron(text)


def test_a_cron_expression_is_kept_with_single_spaces() -> None:
    assert parse_cron(" 0  3 1 *\t* ") == "0 3 1 * *"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2:00-5:00", "is not a window; allowed is"),
        ("02:00 05:00", "is not a window; allowed is"),
        ("24:00-05:00", "is not a window; allowed is"),
        ("02:00-05:60", "is not a window; allowed is"),
        ("02:00-05:00 Europe Stockholm", "is not a window; allowed is"),
        ("02:00-02:00", "is empty"),
        ("02:00-05:00 Europe/Stokholm", "unknown time zone"),
        ("02:00-05:00 Europe", "unknown time zone"),
        ("02:00-05:00 ../../etc/passwd", "unknown time zone"),
    ],
)
def test_refuses_what_is_no_window(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_window(text)


def test_a_window_without_a_zone_is_in_utc() -> None:
    assert parse_window("02:00-05:00").zone is UTC
