"""A worker that is slow between its look and its intent, while another one does the whole rotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.doubles import MemoryHostUp, MemoryVault, Player, Stage
from tests.worlds import TARGET, Small
from worker.errors import HostUpCall, HostUpRefused, HostUpUncertain
from worker.rotation.ports import CreatedKey
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


@dataclass
class NamingOnly(MemoryHostUp):
    """Makes keys, and answers the first create late, with the key's name or with none, and no secret."""

    meanwhile: Callable[[], object] = lambda: None
    names_it: bool = True

    def create_key(self, label: str) -> CreatedKey:
        made = super().create_key(label)
        if len(self.made) > 1:
            return made
        self.meanwhile()
        why = HostUpUncertain("cut", HostUpCall("create_key", 200), request_id=made.request_id)
        why.access_key = made.access_key if self.names_it else None
        raise why


@pytest.mark.parametrize("names_it", [True, False], ids=["the key", "the requestId alone"])
def test_what_an_answer_names_is_kept_although_another_worker_took_over(*, names_it: bool) -> None:
    """A living key that is on no record is one that nobody deletes."""
    hostup = NamingOnly(names_it=names_it)
    hostup.living["BY-HAND"] = "before"
    small = Small(hostup=hostup)

    def taken_over() -> None:
        small.passes(minutes=1)
        small.look()
        assert small.record().unconfirmed_creates[0].request_id is None

    hostup.meanwhile = taken_over
    small.look()
    [known] = small.record().unconfirmed_creates
    assert known.open is not names_it
    small.passes(minutes=5)
    small.look()
    assert ("AK1" in hostup.deleted) is names_it
    entries = small.record().history.entries()
    assert [each.request_id for each in entries if each.event in ("key.stray", "create.unconfirmed")][-1] == (
        "request-of-AK1"
    )


@dataclass
class RefusingLate(MemoryHostUp):
    """Answers the first create late, and with a refusal."""

    meanwhile: Callable[[], object] = lambda: None
    asked: int = 0

    def create_key(self, label: str) -> CreatedKey:
        self.asked += 1
        if self.asked > 1:
            return super().create_key(label)
        self.meanwhile()
        raise HostUpRefused("HostUp refused", HostUpCall("create_key", 403), request_id="late-403")


def test_a_refusal_that_comes_late_settles_the_create_that_another_worker_took_over() -> None:
    hostup = RefusingLate()
    hostup.living["BY-HAND"] = "before"
    small = Small(hostup=hostup)

    def taken_over() -> None:
        small.passes(seconds=31)
        small.look()
        [known] = small.record().unconfirmed_creates
        assert known.open

    hostup.meanwhile = taken_over
    small.look()
    [create] = small.record().unconfirmed_creates
    assert "no key was made" in (create.settled or "")
    [told] = [entry for entry in small.record().history.entries() if entry.event == "create.settled"]
    assert (told.request_id, told.rotation_id) == ("late-403", create.rotation_id)
    small.passes(minutes=5)
    small.look()
    assert small.record().current
