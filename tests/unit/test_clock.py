"""Clocks: the machine's, put right by the one that all workers share; and the pace, which no clock can stop."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from celery import Celery
from celery.beat import Scheduler
from structlog.testing import capture_logs

from tests.doubles import MemoryClock
from tests.records import NOW, SECOND
from worker.adapters.vault.witness import _moment
from worker.clock import WitnessedClock
from worker.errors import QueueUnavailable
from worker.service.celery_app import paced_by, schedule
from worker.service.own_audit import AuditDiary
from worker.service.standing import QUIET_SECONDS, ClockTrouble, RedisTrouble

HOUR = timedelta(hours=1)


@dataclass
class Machine(MemoryClock):
    """A machine's clock, which may jump while time goes on."""

    jumped: timedelta = timedelta(0)
    stopping: bool = False

    def now(self) -> datetime:
        return self.time + self.jumped

    def stop(self) -> None:
        self.stopping = True


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 6 * SECOND, -6 * SECOND])
def test_where_the_clocks_disagree_the_shared_one_counts(jump: timedelta) -> None:
    machine = Machine()
    clock = WitnessedClock(machine)
    assert clock.now() == NOW, "nothing was heard yet"
    clock.hear(NOW, machine.monotonic())
    machine.jumped = jump
    machine.time += 10 * SECOND
    assert clock.now() == NOW + 10 * SECOND, "at once, before anything else is heard"
    assert clock.ahead == jump
    machine.jumped = timedelta(0)
    assert clock.ahead == timedelta(0)


def test_where_they_agree_it_is_the_machines() -> None:
    machine = Machine(jumped=4 * SECOND)
    clock = WitnessedClock(machine)
    clock.hear(NOW, machine.monotonic())
    assert clock.now() == NOW + 4 * SECOND


def test_a_slow_answer_says_nothing_of_the_time() -> None:
    machine = Machine()
    clock = WitnessedClock(machine)
    clock.hear(NOW - HOUR, machine.monotonic() - 3)
    assert clock.now() == NOW


def test_after_a_machine_has_slept_the_time_is_right_with_the_first_answer() -> None:
    """The clock that cannot be set stands still meanwhile; until then no time is taken to be over."""
    machine = Machine()
    clock = WitnessedClock(machine)
    clock.hear(NOW, machine.monotonic())
    machine.jumped = HOUR
    assert clock.now() == NOW
    clock.hear(NOW + HOUR, machine.monotonic())
    assert clock.now() == NOW + HOUR
    assert clock.ahead == timedelta(0)


def test_clocks_that_are_apart_are_told_once_and_so_is_the_end() -> None:
    machine = Machine(jumped=HOUR)
    trouble = ClockTrouble(WitnessedClock(machine))
    with capture_logs() as logs:
        for _ in range(3):
            trouble.hear(NOW, machine.monotonic())
        machine.jumped = timedelta(0)
        for _ in range(3):
            trouble.hear(NOW, machine.monotonic())
    assert [(each["event"], each.get("ahead_s")) for each in logs] == [("clock.apart", 3600), ("clock.agrees", None)]


@pytest.mark.parametrize("text", ["", "soon", "Tue, 24 Nov 2026 12:00:00", "Tue, 99 Nov 2026 12:00:00 GMT", "\x00"])
def test_an_answer_without_a_moment_says_nothing(text: str) -> None:
    assert _moment(text) is None


def test_an_answers_moment() -> None:
    assert _moment("Tue, 24 Nov 2026 12:00:00 GMT") == NOW


@pytest.mark.parametrize("jump", [timedelta(0), HOUR, -HOUR])
def test_beat_keeps_its_pace_whatever_the_wall_clock_does(jump: timedelta) -> None:
    machine, sent = Machine(), list[str]()
    app = Celery("test", set_as_current=False)
    schedule(app, 5 * SECOND, 60 * SECOND, paced_by(machine))
    beat = Sending(sent, app)
    ticks = []
    for second in range(120):
        machine.time += SECOND
        machine.jumped = jump if second >= 30 else timedelta(0)
        while beat.tick() == 0:
            pass
        ticks.append(sent.count("rotator.tick"))
    assert 22 <= ticks[-1] <= 25
    assert all(later - earlier <= 1 for earlier, later in pairwise(ticks))
    assert 1 <= sent.count("rotator.audit") <= 2


class Sending(Scheduler):
    """Celery's own scheduler; of what it sends only the name is noted."""

    producer = None  # type: ignore[assignment]  # the real one connects

    def __init__(self, sent: list[str], app: Celery) -> None:
        self.sent = sent
        super().__init__(app)

    def apply_entry(self, entry: Any, producer: object = None) -> None:
        del producer
        self.sent.append(str(entry.task))


def test_a_trouble_with_redis_is_told_when_it_begins_when_it_changes_and_when_it_ends() -> None:
    clock = MemoryClock()
    trouble = RedisTrouble(clock)
    with capture_logs() as logs:
        trouble.well()
        for _ in range(5):
            trouble.failed(QueueUnavailable("one"))
            trouble.failed(QueueUnavailable("two"))
            clock.time += SECOND
        trouble.well()
        assert trouble.what == "two", "one kind of call may work while another fails"
        clock.time += timedelta(seconds=QUIET_SECONDS)
        trouble.well()
        trouble.well()
    assert [each["event"] for each in logs] == ["queue.unavailable", "queue.unavailable", "queue.available"]
    assert trouble.what == ""


def test_an_audit_is_overdue_by_the_clock_that_only_goes_forward() -> None:
    machine = Machine()
    diary = AuditDiary(machine, HOUR)
    machine.jumped = 10 * HOUR
    assert not diary.is_overdue()
    machine.time += 3 * HOUR
    assert diary.is_overdue()
    diary.note()
    assert not diary.is_overdue()
