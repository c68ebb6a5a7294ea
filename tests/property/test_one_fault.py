"""Every single fault and every single switch between two workers, at each of the calls that a look makes.

The same worlds and the same promises as in test_interleavings.py and test_copies.py, but played through from end to end
instead of chosen by chance; at the end of each play everything has to come to rest.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.doubles import Player
from tests.property.test_copies import CopiesEnd
from tests.property.test_interleavings import HOW, LEASE, WELL, EverythingEnds
from worker.rotation.reconcile import reconcile

MOST_CALLS = 120

World = EverythingEnds | CopiesEnd

WORLDS = pytest.mark.parametrize("world", [EverythingEnds, CopiesEnd], ids=["one place", "copies"])


def _begun(world: type[World], *, rotated_before: bool) -> World:
    """A world in which a rotation is due; the first one, or one that also has an old key to take away."""
    services = world()
    services.a_foreign_key_exists(rotated_before=rotated_before)
    if rotated_before:
        reconcile(services.services, services.target)
        services.the_promises_hold()
        services.clock.time += timedelta(seconds=301)
    return services


def _worker(services: World) -> Player:
    services.workers.append(Player(services.stage, lambda: reconcile(services.services, services.target)))
    return services.workers[-1]


def _plays(services: World, worker: Player, calls: int) -> bool:
    """Let it make so many calls; False when there are not as many."""
    for _ in range(calls):
        services.go(worker, WELL)
    return not worker.done


@WORLDS
@pytest.mark.parametrize("rotated_before", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("how", HOW)
def test_one_call_is_lost_or_the_last(how: str, world: type[World], *, rotated_before: bool) -> None:
    for calls in range(MOST_CALLS):
        services = _begun(world, rotated_before=rotated_before)
        worker = _worker(services)
        going_on = _plays(services, worker, calls)
        services.go(worker, how)
        services.go_to(worker, "the end")
        services.teardown()
        if not going_on:
            return
    raise AssertionError(f"a look makes more than {MOST_CALLS} calls")


@WORLDS
@pytest.mark.parametrize("rotated_before", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("frozen_for", [timedelta(), LEASE + timedelta(seconds=1)], ids=["a moment", "a lease"])
def test_another_worker_does_all_of_it_meanwhile(
    frozen_for: timedelta, world: type[World], *, rotated_before: bool
) -> None:
    for calls in range(MOST_CALLS):
        services = _begun(world, rotated_before=rotated_before)
        frozen = _worker(services)
        going_on = _plays(services, frozen, calls)
        services.clock.time += frozen_for
        services.go_to(_worker(services), "the end")
        services.go_to(frozen, "the end")
        services.teardown()
        if not going_on:
            return
    raise AssertionError(f"a look makes more than {MOST_CALLS} calls")
