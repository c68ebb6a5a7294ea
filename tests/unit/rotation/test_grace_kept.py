"""Grace is what apps were promised: longer where Vault could not be read, and never cut by a new configuration."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.records import request
from tests.worlds import TARGET, Small
from worker.rotation.reconcile import accept
from worker.targets.target import Target

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
LONG = replace(TARGET, grace=24 * HOUR)
SHORT = replace(TARGET, grace=10 * MINUTE)


def rotate(small: Small, target: Target, *, leaked: bool = False) -> str:
    """The key that was replaced."""
    before = small.record().current
    assert before
    now = small.clock.now()
    accept(small.services, target, replace(request(f"at {now}", now), leaked=leaked))
    small.look(target)
    small.passes(seconds=1)
    return before.access_key


def published_at(small: Small) -> datetime:
    current = small.record().current
    assert current
    return current.published_at


def first(target: Target) -> Small:
    small = Small()
    small.hostup.living["BY-HAND"] = ""
    small.look(target)
    small.passes(minutes=1)
    return small


def dies_at(small: Small, access_key: str, target: Target) -> datetime:
    """When the worker deletes the key, looking whenever it wants to."""
    for _ in range(200):
        wanted = small.look(target).wait.until
        if access_key not in small.hostup.living:
            return small.clock.now()
        small.clock.time = max(wanted, small.clock.now() + timedelta(seconds=1))
    raise AssertionError("it was never deleted")


@pytest.mark.parametrize(("target", "hold"), [(LONG, HOUR / 2), (SHORT, 5 * MINUTE)], ids=["a day", "ten minutes"])
def test_a_key_outlives_an_outage_of_vault_that_was_longer_than_its_grace(target: Target, hold: timedelta) -> None:
    small = first(target)
    old, published = rotate(small, target), published_at(small)
    small.clock.time = back = published + target.grace + 2 * HOUR
    small.services.vault_away.seen(back)
    assert timedelta(0) <= dies_at(small, old, target) - (back + hold) <= MINUTE
    (told,) = [e for e in small.record().history.entries() if e.event == "grace.extended"]
    assert told.access_key == old
    assert told.facts["why"] == "Vault could not be reached"


def test_an_outage_long_before_the_end_of_grace_changes_nothing() -> None:
    small = first(LONG)
    old, published = rotate(small, LONG), published_at(small)
    small.services.vault_away.seen(published + 23 * HOUR)
    assert timedelta(0) <= dies_at(small, old, LONG) - (published + LONG.grace) <= MINUTE
    assert not [e for e in small.record().history.entries() if e.event == "grace.extended"]


def test_a_key_that_leaked_is_not_kept_for_an_outage() -> None:
    small = first(LONG)
    small.services.vault_away.seen(small.clock.now())
    old = rotate(small, LONG, leaked=True)
    assert old not in small.hostup.living


def test_a_shorter_grace_is_for_keys_to_come() -> None:
    small = first(LONG)
    old, published = rotate(small, SHORT), published_at(small)
    assert timedelta(0) <= dies_at(small, old, SHORT) - (published + LONG.grace) <= MINUTE, "apps were told of a day"
    second, published = rotate(small, SHORT), published_at(small)
    assert timedelta(0) <= dies_at(small, second, SHORT) - (published + SHORT.grace) <= MINUTE


def test_a_longer_grace_holds_at_once() -> None:
    small = first(SHORT)
    old, published = rotate(small, LONG), published_at(small)
    assert timedelta(0) <= dies_at(small, old, LONG) - (published + LONG.grace) <= MINUTE


def test_an_absurd_promise_that_somebody_wrote_is_cut_to_the_life_of_a_key() -> None:
    small = first(SHORT)
    there = small.vault.read(SHORT.path)
    small.vault.write(SHORT.path, {**(there.data or {}), "grace_seconds": 10**12}, there.version)
    rotate(small, SHORT)
    (key,) = small.record().retiring
    assert key.retire_after - small.clock.now() <= SHORT.schedule.greatest_age()
