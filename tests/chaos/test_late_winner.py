"""A real worker is frozen at any step until long after its lease, another takes over and finishes, the first wakes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from worker.selftest.script import Moment
from worker.selftest.stand import Bench
from worker.selftest.trials import freeze, rehearse, report, rows

LANES = 8


@pytest.mark.parametrize("moment", [Moment.BEFORE, Moment.AFTER])
def test_a_worker_that_wakes_late_breaks_no_promise(bench: Bench, moment: Moment) -> None:
    """And no key in its hands is lost: none is left over without a record, wherever it was frozen."""
    matrix = rows(rehearse(bench, f"calm-{moment}"), (moment,))
    with ThreadPoolExecutor(LANES) as lanes:
        verdicts = list(lanes.map(lambda each: freeze(bench, f"late-{moment}-{each[0]}", each[1]), enumerate(matrix)))
    assert report(verdicts) == ""
