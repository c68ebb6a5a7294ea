"""Every step has a name where it is timed."""

from __future__ import annotations

from typing import get_args

from worker.rotation.decide import Step, Wait
from worker.rotation.reconcile import STEP_NAMES


def test_every_step_that_is_done_has_a_name() -> None:
    assert set(STEP_NAMES) == set(get_args(Step)) - {Wait}
    assert len(set(STEP_NAMES.values())) == len(STEP_NAMES)
