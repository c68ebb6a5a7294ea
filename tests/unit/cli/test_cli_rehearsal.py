"""How an app is judged that was rehearsed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.records import NOW, SECOND
from worker.cli.rehearsal import Turn, judge

TURNS = [Turn("OLD", "NEW", NOW)]


def call(key: str, after: timedelta, *, accepted: bool = True, agent: str = "app/1") -> dict[str, Any]:
    return {"kind": "s3", "access_key": key, "at": (NOW + after).isoformat(), "accepted": accepted, "agent": agent}


def test_the_grace_it_needs_is_how_long_it_went_on_with_the_key_before() -> None:
    judged = judge([call("OLD", -SECOND), call("OLD", 7 * SECOND), call("NEW", 8 * SECOND)], TURNS, None, 1)
    assert judged.survives
    assert judged.grace_needed == 7 * SECOND
    assert judged.calls == 3


def test_an_app_that_changed_at_once_needs_none() -> None:
    assert judge([call("OLD", -SECOND), call("NEW", SECOND)], TURNS, None, 1).grace_needed == timedelta(0)


def test_a_refused_call_is_a_failed_one() -> None:
    judged = judge([call("OLD", SECOND, accepted=False), call("NEW", 2 * SECOND)], TURNS, None, 1)
    assert (judged.survives, judged.failed) == (False, 1)


def test_an_app_that_never_takes_the_new_key_up_does_not_survive_and_no_grace_helps() -> None:
    judged = judge([call("OLD", SECOND)], TURNS, None, 1)
    assert (judged.survives, judged.failed, judged.grace_needed) == (False, 0, None)


def test_calls_of_the_worker_are_not_the_apps() -> None:
    ours = call("NEW", SECOND, accepted=False, agent="hostup-rotator/1.0")
    assert judge([ours], TURNS, None, 1).calls == 0
    assert not judge([ours], TURNS, None, 1).survives


def test_an_app_that_ended_with_an_error_does_not_survive() -> None:
    calls = [call("OLD", -SECOND), call("NEW", SECOND)]
    assert judge(calls, TURNS, 0, 1).survives
    assert not judge(calls, TURNS, 3, 1).survives


@pytest.mark.parametrize(("played", "wanted"), [(0, 1), (0, 3), (1, 2), (1, 3)])
@pytest.mark.parametrize("exit_code", [0, None])
def test_an_app_that_ended_before_the_last_rotation_shows_nothing(
    played: int, wanted: int, exit_code: int | None
) -> None:
    calls = [call("OLD", -SECOND), call("NEW", SECOND)]
    judged = judge(calls, TURNS[:played], exit_code, wanted)
    assert (judged.survives, judged.rotations, judged.wanted) == (False, played, wanted)
    assert judged.grace_needed is None
