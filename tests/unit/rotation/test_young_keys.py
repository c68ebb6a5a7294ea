"""A key that nobody has seen work yet: that it is refused proves nothing before it has had its time to spread."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.doubles import MemoryClock, MemoryHostUp, MemoryVault, one_account
from tests.records import NOW, SECOND, current, empty, retiring
from worker.rotation.record import Why
from worker.rotation.records import Loaded, RecordStore
from worker.rotation.services import Policy, Services
from worker.rotation.steps.retire import prove_dead
from worker.rotation.steps.session import Session
from worker.targets.fields import PRESETS
from worker.targets.schedule import Schedule
from worker.targets.target import Target

SPREAD = timedelta(seconds=20)
TARGET = Target(
    name="media",
    label="{target} {rotation_id}",
    path="apps/media",
    schedule=Schedule(every=timedelta(days=1)),
    grace=SECOND,
    fields=PRESETS["plain"],
)
POLICY = Policy(
    mount="secret",
    lease=SPREAD,
    create_deadline=SECOND,
    verify_within=SPREAD,
    dead_within=timedelta(seconds=60),
    tick=SECOND,
)


def _work(why: Why) -> tuple[Session, MemoryClock]:
    hostup, vault, clock = MemoryHostUp(living={"AK0": "current"}), MemoryVault(), MemoryClock()
    store = RecordStore(vault, "state", clock)
    services = Services(one_account(hostup), vault, store, clock, POLICY)
    key = replace(retiring("AK9", timedelta(), deleted=True), why=why)
    return Session(services, TARGET, Loaded(replace(empty(), current=current(), retiring=(key,)), 0)), clock


@pytest.mark.parametrize("why", [Why.STRAY, Why.UNUSABLE, Why.SETTLED])
def test_a_key_that_may_not_have_spread_yet_is_not_proven_dead(why: Why) -> None:
    session, clock = _work(why)
    pause = prove_dead(session, "AK9")
    assert pause is not None
    assert (pause.kind, pause.until) == ("AK9", NOW + SPREAD)
    assert [key.access_key for key in session.record.retiring] == ["AK9"]
    clock.time = pause.until
    assert prove_dead(session, "AK9") is None
    assert session.record.retiring == ()


def test_a_key_that_was_in_use_is_proven_dead_at_once() -> None:
    session, _ = _work(Why.REPLACED)
    assert prove_dead(session, "AK9") is None
    assert session.record.retiring == ()
