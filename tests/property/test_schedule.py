from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from worker.targets.backoff import fraction
from worker.targets.freeze import Freeze, freeze_at
from worker.targets.schedule import NEVER, Schedule, Window, next_due, next_rotation, next_watch, parse_window

NIGHT = parse_window("02:00-05:00 Europe/Stockholm")
SPRING = datetime(2026, 3, 29, 1, tzinfo=UTC)
"""When the clock in Stockholm goes from 02:00 to 03:00."""
AUTUMN = datetime(2026, 10, 25, 1, tzinfo=UTC)
"""When it goes from 03:00 back to 02:00."""

ROUNDED = timedelta(milliseconds=1)
"""How exact a moment is as a number of seconds."""

names = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
moments = st.datetimes(datetime(2025, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
around_jumps = st.builds(
    lambda jump, seconds: jump + timedelta(seconds=seconds),
    st.sampled_from([SPRING, AUTUMN]),
    st.integers(-200_000, 200_000),
)
minutes = st.integers(0, 1439)
crons = st.sampled_from(
    [
        "0 3 1 * *",
        "30 2 * * *",
        "0,30 2 * * *",
        "*/10 * * * *",
        "0 */2 * * *",
        "15 2 * * SUN",
        "0 0 L * *",
        "7 1-3 * * 1-5",
    ]
)
quick = settings(deadline=None, max_examples=150)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    opens, closes = draw(st.tuples(minutes, minutes).filter(lambda pair: pair[0] != pair[1]))
    zone = draw(st.sampled_from(["Europe/Stockholm", "UTC", "America/St_Johns", "Australia/Lord_Howe"]))
    return parse_window(f"{_clock(opens)}-{_clock(closes)} {zone}")


schedules = st.one_of(
    st.builds(Schedule, every=st.timedeltas(timedelta(seconds=1), timedelta(days=400))),
    st.builds(Schedule, cron=crons),
)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _is_inside(window: Window, moment: datetime) -> bool:
    at = moment.astimezone(window.zone).time()
    if window.opens < window.closes:
        return window.opens <= at < window.closes
    return at >= window.opens or at < window.closes


def _with(schedule: Schedule, window: Window | None) -> Schedule:
    return Schedule(schedule.every, schedule.cron, window, schedule.jitter)


@quick
@given(schedules, st.none() | windows(), names, moments)
def test_a_target_without_a_key_is_due_at_once(
    schedule: Schedule, window: Window | None, name: str, now: datetime
) -> None:
    assert next_due(_with(schedule, window), name, None, now) == now


@quick
@given(st.timedeltas(timedelta(seconds=1), timedelta(days=400)), names, moments | around_jumps, moments)
def test_a_key_never_becomes_older_than_every(every: timedelta, name: str, last: datetime, now: datetime) -> None:
    due = next_due(Schedule(every=every), name, last, now)
    jitter = last + every - due
    assert timedelta(0) <= jitter < min(every / 20, timedelta(minutes=10))


@quick
@given(crons, moments | around_jumps, st.sampled_from([None, NIGHT]))
def test_a_run_of_cron_is_delayed_by_at_most_the_jitter(cron: str, last: datetime, window: Window | None) -> None:
    schedule = Schedule(cron=cron, window=window)
    first = schedule.after(last, 0.0)
    assert first > last
    assert first <= schedule.after(last, 0.999_999) < first + min(schedule.shortest_gap(), timedelta(minutes=1))


@quick
@given(schedules, st.none() | windows(), names, moments | around_jumps, st.lists(moments, min_size=2, max_size=8))
def test_the_moment_is_never_redrawn_and_only_moves_ahead(
    schedule: Schedule, window: Window | None, name: str, last: datetime, looks: list[datetime]
) -> None:
    schedule = _with(schedule, window)
    seen = [next_due(schedule, name, last, now) for now in sorted(looks)]
    assert all(earlier <= later for earlier, later in pairwise(seen))
    for now, due in zip(sorted(looks), seen, strict=True):
        assert next_due(schedule, name, last, max(now, due)) == due


@quick
@given(st.timedeltas(timedelta(seconds=1), timedelta(days=400)), names, moments, st.timedeltas(timedelta(0)))
def test_a_later_rotation_is_due_later(every: timedelta, name: str, last: datetime, by: timedelta) -> None:
    by = min(by, timedelta(days=1000))
    schedule = Schedule(every=every)
    assert next_due(schedule, name, last, last) <= next_due(schedule, name, last + by, last)


@quick
@given(schedules, windows(), names, moments | around_jumps, moments | around_jumps)
def test_with_a_window_every_start_lies_inside_it(
    schedule: Schedule, window: Window, name: str, last: datetime, now: datetime
) -> None:
    due = next_due(_with(schedule, window), name, last, now)
    assert _is_inside(window, due)
    if due <= now:
        assert _is_inside(window, now), "due now, and now is outside the window"


@quick
@given(windows(), names, moments | around_jumps)
def test_a_window_delays_cron_by_two_days_at_most(window: Window, name: str, last: datetime) -> None:
    schedule = Schedule(cron="0 3 1 * *", window=window)
    regular = schedule.after(last, fraction(name)).astimezone(UTC)
    assert regular <= next_due(schedule, name, last, last) < regular + timedelta(days=2, hours=2)


DAYS_UP = st.timedeltas(timedelta(days=1), timedelta(days=400))


@quick
@given(DAYS_UP, windows(), names, moments | around_jumps)
def test_a_key_never_becomes_older_than_every_with_a_window_either(
    every: timedelta, window: Window, name: str, last: datetime
) -> None:
    due = next_due(Schedule(every=every, window=window), name, last, last)
    assert due > last, "it would rotate at once, and again"
    opens_in_between = window.last_opening_before(last + every)[0] > last
    assert due <= last + every or not opens_in_between
    assert opens_in_between or every < timedelta(days=2, hours=2)


@quick
@given(st.timedeltas(timedelta(days=3), timedelta(days=400)), windows(), names, moments | around_jumps)
def test_a_window_takes_no_more_from_every_than_it_is_closed(
    every: timedelta, window: Window, name: str, last: datetime
) -> None:
    due = next_due(Schedule(every=every, window=window), name, last, last)
    assert due > last + every - timedelta(days=2, hours=3)


@quick
@given(DAYS_UP, windows(), names, moments | around_jumps)
def test_rotations_in_a_window_go_on_and_never_bunch_up(
    every: timedelta, window: Window, name: str, last: datetime
) -> None:
    schedule, moment, moments_of = Schedule(every=every, window=window), last, []
    for _ in range(6):
        moment = next_due(schedule, name, moment, moment)
        moments_of.append(moment)
    days = [each.astimezone(window.zone).date() for each in moments_of]
    assert all(later > earlier for earlier, later in pairwise(moments_of))
    assert all((later - earlier).days >= 1 or window.opens > window.closes for earlier, later in pairwise(days))


@quick
@given(crons, windows())
def test_a_cron_is_said_to_miss_a_window_only_if_it_does(cron: str, window: Window) -> None:
    schedule = Schedule(cron=cron, window=window)
    run, inside = datetime(2026, 1, 1, tzinfo=UTC), 0
    for _ in range(600):
        run = schedule.after(run, 0.0).astimezone(UTC)
        inside += _is_inside(window, run)
    if schedule.falls_into_window():
        assert inside > 0
    else:
        assert inside <= 12, "once a year, where the clock jumps over a run, it may come an hour later"


spans = st.timedeltas(timedelta(minutes=1), timedelta(days=9))
freezes = st.lists(st.builds(lambda at, long: Freeze(at, at + long, "x"), moments, spans), max_size=6)


@quick
@given(schedules, st.none() | windows(), names, moments, st.timedeltas(timedelta(0), timedelta(days=90)), freezes)
def test_nothing_begins_in_a_freeze_and_what_was_due_comes_after_it(
    schedule: Schedule, window: Window | None, name: str, last: datetime, age: timedelta, frozen: list[Freeze]
) -> None:
    schedule, now = _with(schedule, window), last + age
    frozen = [*frozen, Freeze(now - timedelta(hours=1), now + timedelta(hours=1), "now")][: len(frozen) + age.days % 2]
    due, without = next_rotation(schedule, name, last, now, frozen), next_due(schedule, name, last, now)
    assert due is not None
    assert freeze_at(frozen, max(due, now)) is None
    assert due >= without
    if freeze_at(frozen, max(without, now)) is None:
        assert due == without
    elif window:
        assert _is_inside(window, due)


@quick
@given(names, moments, moments, freezes)
def test_a_manual_target_is_never_due(name: str, last: datetime, now: datetime, frozen: list[Freeze]) -> None:
    assert next_rotation(Schedule(every=NEVER), name, last, now, frozen) is None
    assert next_rotation(Schedule(every=NEVER), name, None, now, frozen) is None


@quick
@given(st.timedeltas(timedelta(seconds=1), timedelta(days=30)), names, moments)
def test_a_watch_comes_within_its_interval_and_again_and_again_at_the_same_distance(
    every: timedelta, name: str, after: datetime
) -> None:
    first = next_watch(every, name, after)
    assert -ROUNDED < first - after <= every + ROUNDED
    again = next_watch(every, name, first + ROUNDED)
    assert abs(again - first - every) < ROUNDED * 3
    assert next_watch(every, name, after) == first, "whoever asks"


@quick
@given(st.timedeltas(timedelta(minutes=1), timedelta(days=1)), moments)
def test_watches_are_spread_over_the_interval(every: timedelta, after: datetime) -> None:
    waits = sorted((next_watch(every, f"target-{number}", after) - after) / every for number in range(200))
    assert max(later - one for one, later in pairwise([0.0, *waits, 1.0])) < 0.06
