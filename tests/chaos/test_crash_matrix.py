"""A real worker process is killed at each step of its work; another goes on, and every promise holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from worker.selftest.script import Moment
from worker.selftest.stand import Bench, Pace
from worker.selftest.trials import kill, rehearse, report, rows

LANES = 8
"""Trials at once; most of one is waiting for a lease or a grace period."""


@pytest.mark.parametrize("moment", Moment)
def test_a_kill_at_any_step_breaks_no_promise(bench: Bench, moment: Moment) -> None:
    matrix = rows(rehearse(bench, f"clean-{moment}"), (moment,))
    with ThreadPoolExecutor(LANES) as lanes:
        verdicts = list(lanes.map(lambda each: kill(bench, f"{moment}-{each[0]}", each[1]), enumerate(matrix)))
    assert report(verdicts) == ""


@pytest.mark.parametrize("moment", Moment)
def test_a_kill_at_any_call_for_a_copy_breaks_no_promise(bench: Bench, moment: Moment) -> None:
    """Of a target with copies in the same and in another mount; its other calls are those of any target."""
    pace = Pace(copies=True)
    matrix = [row for row in rows(rehearse(bench, f"copies-{moment}", pace), (moment,)) if "/copy" in row.step.path]
    assert {row.step.method for row in matrix} >= {"GET", "POST"}
    with ThreadPoolExecutor(LANES) as lanes:
        verdicts = list(
            lanes.map(lambda each: kill(bench, f"copies-{moment}-{each[0]}", each[1], pace), enumerate(matrix))
        )
    assert report(verdicts) == ""
