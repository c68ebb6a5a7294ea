"""The wall clock of one of two workers jumps ahead and back at each step of a rotation: no promise is broken."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.acceptance.shifted_worker import shift as move
from tests.chaos.life import ask, rest, served
from worker.selftest import actions
from worker.selftest.checker import BrokenPromise, check, orphans
from worker.selftest.life import never
from worker.selftest.script import Moment, Rule, Step
from worker.selftest.stand import Bench, Pace, Stand

PACE = Pace(grace="4s", tick="1s", lease="12s", verify_within="30s", dead_within="60s")
STEPS = {
    "a key is made": Step("hostup", "POST", "/api/object-storage/keys", 1),
    "it is published": Step("vault", "POST", "/v1/secret/data/{trial}/app", 1),
    "the old one is deleted": Step("hostup", "DELETE", "/api/object-storage/keys/{key}", 1),
}
JUMPS = (15, -15, 0)
"""Seconds: more than clocks may be apart unseen, and little, since a key lives longer by what they are apart."""


@contextmanager
def _shifted(stand: Stand, shift: Path) -> Iterator[None]:
    """A worker whose machine's clock is wrong by what the file says."""
    with stand.log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.shifted_worker", str(shift)],
            env=dict(stand.environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
        assert process.poll() is None, "it goes on, whatever its clock does"
    finally:
        process.kill()
        process.wait()


def test_a_clock_that_jumps_at_any_step_breaks_no_promise(bench: Bench, tmp_path: Path) -> None:
    shift = tmp_path / "shift"
    move(shift, 0)
    with ExitStack() as stack:
        stand = stack.enter_context(bench.stand("clocks", PACE))
        worker = stand.worker(bench.nursery, beat=True)
        stack.callback(worker.kill)
        stack.enter_context(_shifted(stand, shift))
        rest(stand, never)
        for when, step in STEPS.items():
            for seconds in JUMPS:
                stand.script.add(Rule.at(step, Moment.BEFORE, actions.call(partial(move, shift, seconds))))
                request = f"{when}, clock at {seconds}"
                ask(stand, request, never)
                served(stand, request, never)
                rest(stand, never)
                assert shift.read_text() == str(seconds), "it jumped there"
        evidence = stand.evidence()
        lost = [BrokenPromise(3, key, "was lost, although its answer came") for key in orphans(evidence)]
        assert [*lost, *check(evidence)] == []
        assert len(stand.simulator.admin.calls("create")) == 1 + len(STEPS) * len(JUMPS)
    assert '"clock.apart"' in stand.log.read_text("utf-8"), "the jumps were met"
