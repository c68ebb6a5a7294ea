"""A worker that is slow between its look and its intent, while another one does the whole rotation."""

from __future__ import annotations

import pytest

from tests.doubles import MemoryHostUp, MemoryVault, Player, Stage
from tests.worlds import TARGET, Small
from worker.rotation.reconcile import reconcile


@pytest.mark.parametrize("before", [f"vault write state/{TARGET.name}", f"vault read {TARGET.path}"])
def test_a_rotation_does_not_begin_on_what_was_true_before(before: str) -> None:
    """Nor is the target blamed for what the other worker did well."""
    stage = Stage()
    small = Small(vault=MemoryVault(stage), hostup=MemoryHostUp(stage))
    small.hostup.living["BY-HAND"] = "before"
    small.look()
    small.passes(days=31)
    slow = Player(stage, lambda: reconcile(small.services, TARGET))
    while slow.at != before:
        slow.go("well")
    small.look()
    while not slow.done:
        slow.go("well")
    assert slow.error is None
    assert len(small.hostup.made) == 2, "one when it was first looked at, one when it was due"
    assert small.record().failure is None
