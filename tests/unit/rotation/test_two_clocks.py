"""A machine's own clock and the one that all share: the grace is kept by both of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from tests.doubles import MemoryClock
from tests.worlds import TARGET, Small
from worker.clock import UNSURE

HOUR = timedelta(hours=1)


@dataclass
class Wrong(MemoryClock):
    """A machine's clock beside the right one."""

    right: MemoryClock | None = None
    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        assert self.right is not None
        return self.right.now() + self.ahead


def world(ahead: timedelta) -> Small:
    small = Small()
    small.look()
    small.services = replace(small.services, machine=Wrong(right=small.clock, ahead=ahead))
    small.passes(days=31)
    small.look()
    return small


@pytest.mark.parametrize("ahead", [HOUR, -HOUR, 3 * UNSURE, -3 * UNSURE, timedelta(0)])
def test_a_key_is_deleted_when_both_clocks_say_that_its_time_is_over(ahead: timedelta) -> None:
    small = world(ahead)
    (key,) = small.record().retiring
    published = small.record().current
    assert published is not None
    unsure = UNSURE if ahead else timedelta(0)  # Vault's word names the second only: it may be that far off
    assert key.retire_after - published.published_at == TARGET.grace + max(ahead, unsure)
    small.clock.time = key.retire_after + max(-ahead, unsure) - timedelta(seconds=1)
    small.look()
    assert not small.hostup.deleted
    small.passes(seconds=1)
    small.look()
    assert small.hostup.deleted == [key.access_key]


def test_a_clock_that_is_set_right_is_noticed_within_a_tick() -> None:
    small = world(-HOUR)
    small.clock.time += TARGET.grace + UNSURE + timedelta(seconds=1)
    found = small.look()
    assert "is not over yet" in found.wait.why
    assert found.wait.until - small.clock.time <= small.services.policy.tick
    small.services = replace(small.services, machine=small.clock)
    small.look()
    assert len(small.hostup.deleted) == 1
