"""A process lives as long as its pulse goes; a beat that waits for something outside is not counted against it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.doubles import MemoryClock
from tests.sandbox import wait_until
from worker.errors import TryAgainLater
from worker.service.life import OLDEST_SECONDS, Life
from worker.service.pulse import Pulse


def test_it_lives_for_a_minute_after_it_was_shown(tmp_path: Path) -> None:
    clock = MemoryClock()
    life = Life(clock, tmp_path / "alive")
    clock.sleep(OLDEST_SECONDS - 1)
    assert life.is_shown(), "a process that has just begun lives"
    clock.sleep(2)
    assert not life.is_shown()
    life.show()
    assert life.is_shown()
    assert (tmp_path / "alive").exists()


def test_what_is_inside_goes_on_before_the_worker_is_ready_and_the_beats_do_not() -> None:
    inside, outside, went_on = threading.Event(), threading.Event(), threading.Event()
    pulse = Pulse((inside.set,), (outside.set,), went_on.set)
    pulse.start()
    wait_until(inside.is_set, "life is shown")
    assert not outside.is_set()
    pulse.begin()
    wait_until(outside.is_set, "the first beat, at once")
    wait_until(went_on.is_set, "life is shown after it")
    pulse.stop()


@pytest.mark.parametrize("error", [TryAgainLater("no", hint=""), RuntimeError("can't start new thread"), OSError(24)])
def test_a_beat_that_fails_stops_none_of_the_others(error: Exception) -> None:
    after = threading.Event()

    def fail() -> None:
        raise error

    pulse = Pulse((fail,), (fail, after.set), lambda: None)
    pulse.start()
    pulse.begin()
    wait_until(after.is_set, "the beat after it")
    pulse.stop()
