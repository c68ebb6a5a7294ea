"""A real worker process is killed at each step of its work; another goes on, and every promise holds."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from worker.selftest.life import lead_through_harm
from worker.selftest.script import Moment, Seen
from worker.selftest.stand import Bench, Pace
from worker.selftest.trials import kill, rehearse, report, rows

APP = "/v1/secret/data/{trial}/app"
RECORD = "/v1/secret/data/{trial}/state/{target}"
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


HARMED = Pace(watch_every="1s")


def _after_the_first_rotation(trace: tuple[Seen, ...]) -> Iterator[Seen]:
    """The writes of watch, undelete and healing; how often the same is read depends on the ticks."""
    published = next(at for at, seen in enumerate(trace) if (seen.method, seen.path) == ("POST", APP))
    recorded = next(
        at for at, seen in enumerate(trace) if at > published and (seen.method, seen.path) == ("POST", RECORD)
    )
    for seen in trace[recorded + 1 :]:
        if seen.service != "redis" and seen.method in ("POST", "DELETE"):
            yield seen


@pytest.mark.parametrize("moment", Moment)
def test_a_kill_in_a_watch_an_undelete_or_a_healing_breaks_no_promise(bench: Bench, moment: Moment) -> None:
    trace = rehearse(bench, f"harmed-{moment}", HARMED, lead_through_harm)
    matrix = rows(tuple(_after_the_first_rotation(trace)), (moment,))
    paths = {row.step.path for row in matrix}
    assert {RECORD, APP, "/v1/secret/undelete/{trial}/app", "/api/object-storage/keys"} <= paths
    with ThreadPoolExecutor(LANES) as lanes:
        verdicts = list(
            lanes.map(
                lambda each: kill(bench, f"harmed-{moment}-{each[0]}", each[1], HARMED, lead_through_harm),
                enumerate(matrix),
            )
        )
    assert report(verdicts) == ""
