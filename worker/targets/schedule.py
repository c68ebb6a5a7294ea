"""When a target's key is to be rotated. Pure: the same answer in every process, however often it is asked.

Nothing is drawn by chance: jitter and the place in a window follow from the target's name, because a moment that were
drawn anew at each look could move away for ever.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import chain, count, islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from worker.targets.backoff import fraction
from worker.targets.freeze import Freeze, thawed

EVERY_JITTER = (0.05, timedelta(minutes=10))
CRON_JITTER = (0.01, timedelta(minutes=1))
"""Without a jitter of its own, a target uses at most this share of its interval, and at most so long."""

_RUNS_LOOKED_AT = 60
_REFERENCE = datetime(2026, 1, 1, tzinfo=UTC)
"""Where counting a cron expression's runs begins: fixed, so that a configuration is not right today and wrong tomorrow;
in UTC, so that the one short day of a zone does not forbid a daily cron with a grace of 24 hours."""

_WINDOW = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])(?:\s+(\S+))?")
_DAY = timedelta(days=1)
_LONGEST_GAP = timedelta(days=3660)

NEVER = timedelta.max
"""The ``every`` of a target that is rotated only when somebody asks for it."""


@dataclass(frozen=True, slots=True)
class Window:
    """A time of day, in a zone, in which rotations may start; it may cross midnight."""

    opens: time
    closes: time
    zone: tzinfo

    def first_ending_after(self, moment: datetime) -> tuple[datetime, datetime]:
        """The first opening (in UTC, end excluded) that is not over at ``moment``."""
        return next((opens, closes) for opens, closes in self._openings(moment) if closes > moment)

    def last_opening_before(self, moment: datetime) -> tuple[datetime, datetime]:
        """The last opening (in UTC, end excluded) that begins before ``moment``."""
        today = moment.astimezone(self.zone).date()
        days = (self._on(today - days * _DAY) for days in count(-1))
        return next((opens, closes) for opens, closes in days if opens < closes and opens < moment)

    def _openings(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """The openings around and after a moment, without those that the clock skips in spring."""
        today = moment.astimezone(self.zone).date()
        for days in count(-1):
            opens, closes = self._on(today + days * _DAY)
            if opens < closes:
                yield opens, closes

    def _on(self, day: date) -> tuple[datetime, datetime]:
        """The opening that begins on a day. Where the clock jumps, it is cut short, never widened."""
        first, second = self._both(day, self.opens)
        opens = max(first, second)
        closes = min(self._both(day if self.opens < self.closes else day + _DAY, self.closes))
        if first < closes <= opens:
            opens = first  # the window lies within the hour that comes twice: its first time counts
        return opens, closes

    def _both(self, day: date, at: time) -> tuple[datetime, datetime]:
        """The two moments that a local time may mean: the same, except where the clock jumps."""
        local = datetime.combine(day, at, self.zone)
        return local.replace(fold=0).astimezone(UTC), local.replace(fold=1).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Either ``every`` or ``cron`` (in the window's zone, else UTC); ``jitter`` bounds the spread, None: by default.

    ``every`` may be :data:`NEVER`.
    """

    every: timedelta | None = None
    cron: str | None = None
    window: Window | None = None
    jitter: timedelta | None = None

    @property
    def is_manual(self) -> bool:
        """Whether nothing begins by itself."""
        return self.every == NEVER

    def shortest_gap(self) -> timedelta:
        """The shortest time between two regular rotations; for cron, between two of its next 60 runs."""
        return self.every if self.every is not None else _gap(self._expression())

    def greatest_age(self) -> timedelta:
        """How old a key becomes at most when nothing fails; with cron by its next 60 runs, and a window's opening."""
        if self.every is not None:
            return self.every
        opening = _DAY if self.window else timedelta(0)
        return min(_gap(self._expression(), longest=True), _LONGEST_GAP) + self.jitter_bound() + opening

    def counts_from(self, created_at: datetime, published_at: datetime) -> datetime:
        """From when the next rotation of a key is counted: its age from its birth, a run of cron from its publishing.

        Only of a key that a rollback brought back are these far apart.
        """
        return published_at if self.every is None else created_at

    def falls_into_window(self) -> bool:
        """Whether cron has any run in the window; all its days have the same ones, so that those of one tell."""
        return self.window is None or _has_run_in(self._expression(), self.window)

    def jitter_bound(self) -> timedelta:
        """What the jitter stays below."""
        if self.jitter is not None:
            return self.jitter
        share, longest = CRON_JITTER if self.every is None else EVERY_JITTER
        return min(self.shortest_gap() * share, longest)

    def after(self, last: datetime, spread: float) -> datetime:
        """The regular moment after ``last``; ``spread`` in [0, 1) is the target's share of the jitter.

        An interval is shortened by the jitter, so a key never becomes older than ``every``; a run of cron is delayed.
        """
        if self.every is not None:
            return last + self.every - self.jitter_bound() * spread
        zone = self.window.zone if self.window else UTC
        return _run_after(self._expression(), last, zone) + self.jitter_bound() * spread

    def _expression(self) -> str:
        if self.cron is None:
            raise ValueError("a schedule has either every or cron")
        return self.cron


def next_rotation(
    schedule: Schedule, name: str, last: datetime | None, now: datetime, freezes: Sequence[Freeze] = ()
) -> datetime | None:
    """When the target ``name`` is due, in UTC; a moment that has passed means: now. None: never by itself.

    What falls into one of the ``freezes`` comes after it, also what has waited since before, and in the window.
    """
    if schedule.is_manual:
        return None
    due, spread = next_due(schedule, name, last, now), fraction(name)
    while (free := thawed(freezes, max(due, now))) > max(due, now):
        due = free + schedule.jitter_bound() * spread  # not all at once
        if schedule.window and last:
            due = _in_window(schedule.window, due, spread)
    return due


def next_due(schedule: Schedule, name: str, last: datetime | None, now: datetime) -> datetime:
    """The same by the schedule alone, which must not be manual.

    ``last`` is when its current key was published. A target without one is due at once, window or not: its app has no
    key yet. A moment outside the window moves to the target's own place in an opening, so that not everything starts
    with the window's first second: with cron to the next one, with ``every`` to the last one before the key is too old.
    One that was missed moves on to the next opening.
    """
    if last is None:
        return now
    spread = fraction(name)
    regular = schedule.after(last, spread).astimezone(UTC)
    if schedule.window is None:
        return regular
    if schedule.every is not None:
        regular = _in_time(schedule.window, last.astimezone(UTC), schedule.every, regular, spread)
    opens, closes = schedule.window.first_ending_after(max(regular, now))
    return regular if opens <= regular else opens + (closes - opens) * spread


def _in_window(window: Window, moment: datetime, spread: float) -> datetime:
    """The moment, or the target's own place in the next opening."""
    opens, closes = window.first_ending_after(moment)
    return moment if opens <= moment else opens + (closes - opens) * spread


def _in_time(window: Window, last: datetime, every: timedelta, regular: datetime, spread: float) -> datetime:
    """The moment in the window at which a key is not older than ``every`` yet, where there is one since ``last``."""
    opens, _ = window.first_ending_after(regular)
    if opens <= regular:
        return regular
    oldest = last + every
    before = window.last_opening_before(oldest)
    if before[0] <= last:
        return regular  # the window does not open in between, as where the clock skips it in spring
    return before[0] + (min(before[1], oldest) - before[0]) * spread


def next_watch(every: timedelta, name: str, after: datetime) -> datetime:
    """When what apps read of the target ``name`` is looked at next: each target has its own place in the interval.

    The places follow from the name and the clock alone, so nothing is lost with Redis, and nothing bunches up.
    """
    seconds = every.total_seconds()
    place = seconds * fraction(name)
    rounds = math.floor((after.timestamp() - place) / seconds) + 1
    return datetime.fromtimestamp(rounds * seconds + place, UTC)


def parse_window(text: str) -> Window:
    """Read ``HH:MM-HH:MM Zone``; without a zone it is UTC. Raises ValueError, in words that follow its name."""
    found = _WINDOW.fullmatch(text.strip())
    if found is None:
        raise ValueError('is not a window; allowed is "HH:MM-HH:MM Zone", such as "02:00-05:00 Europe/Stockholm"')
    opens = time(int(found[1]), int(found[2]))
    closes = time(int(found[3]), int(found[4]))
    if opens == closes:
        raise ValueError("is empty; it must close at another time than it opens")
    return Window(opens, closes, _zone(found[5]) if found[5] else UTC)


def parse_cron(text: str) -> str:
    """See that a cron expression is one, and has runs at all. Raises ValueError, in words that follow its name."""
    allowed = 'allowed are minute, hour, day of month, month and day of week, such as "0 3 1 * *"'
    expression = " ".join(text.split())
    if len(expression.split()) != 5:  # noqa: PLR2004 - a sixth field would be seconds, which cronsim takes too
        raise ValueError(f"is not a cron expression of five fields; {allowed}")
    try:
        CronSim(expression, _REFERENCE)
        _gap(expression)
    except CronSimError as error:
        raise ValueError(f"is not a possible cron expression ({error}); {allowed}") from None
    except StopIteration:
        raise ValueError("is a cron expression that never comes true") from None
    return expression


def _zone(key: str) -> ZoneInfo:
    try:
        return ZoneInfo(key)
    except (KeyError, ValueError, OSError):  # unknown; not a key at all; a folder such as "Europe"
        raise ValueError('has an unknown time zone; allowed are names such as "Europe/Stockholm" or "UTC"') from None


def _run_after(cron: str, last: datetime, zone: tzinfo) -> datetime:
    """The first run after ``last``. cronsim counts by the local clock, which in autumn can lead it backwards."""
    runs = (run.astimezone(UTC) for run in CronSim(cron, last.astimezone(zone)))
    return next(run for run in runs if run > last)


@lru_cache(maxsize=4096)
def _has_run_in(cron: str, window: Window) -> bool:
    runs = CronSim(cron, _REFERENCE.astimezone(window.zone))
    first = next(runs).astimezone(UTC)
    for run in chain((first,), (each.astimezone(UTC) for each in runs)):
        opens, _ = window.first_ending_after(run)
        if opens <= run:
            return True
        if run >= first + 2 * _DAY:
            return False
    return False


def _gap(cron: str, *, longest: bool = False) -> timedelta:
    """The shortest time between two runs, or the longest.

    Raises StopIteration when the expression has no run within 50 years (cronsim's own limit).
    """
    minute, hour, *days = cron.split()
    once_a_day = minute.isdigit() and hour.isdigit()
    # which minute of the day it is makes no difference then, and there are few ways to choose days
    shortest, greatest = _gaps_between_runs(" ".join(("0", "0", *days)) if once_a_day else cron)
    return greatest if longest else shortest


@lru_cache(maxsize=4096)
def _gaps_between_runs(cron: str) -> tuple[timedelta, timedelta]:
    runs = CronSim(cron, _REFERENCE)
    first = next(runs)
    gaps = [later - earlier for earlier, later in pairwise((first, *islice(runs, _RUNS_LOOKED_AT)))]
    return min(gaps, default=timedelta.max), max(gaps, default=timedelta.max)
