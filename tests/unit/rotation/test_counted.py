"""After a delete that HostUp confirmed it counts one key fewer, or the delete alone is not believed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from tests.doubles import MemoryHostUp, MemoryStorage, one_account
from tests.records import MINUTE
from tests.worlds import SLACK, TARGET, Small
from worker.rotation.audit import audit
from worker.rotation.changes.retirement import counted_after_all
from worker.rotation.ports import DeletedKey, Life, Probe, StorageStatus
from worker.rotation.record import RetiringKey

HOUR = timedelta(hours=1)


@dataclass
class Odd(MemoryHostUp):
    """Says that it deleted a key and does not, counts late, or lets something happen at the same time."""

    keeps: bool = False
    count_lags: int | None = None
    meanwhile: Callable[[], object] | None = None
    asked: int = 0
    told: list[str] = field(default_factory=list)

    def _delete(self, access_key: str, form: str) -> DeletedKey:
        if self.meanwhile:
            self.meanwhile()
        self.told.append(access_key)
        if self.keeps and access_key in self.living:
            return DeletedKey(200, f"delete-of-{access_key}", form)
        return super()._delete(access_key, form)

    def _status(self) -> StorageStatus:
        self.asked += 1
        honest = super()._status()
        return honest if self.count_lags is None else replace(honest, key_count=self.count_lags)


@dataclass
class Credulous(MemoryStorage):
    """A gateway that calls every key dead whose delete was asked for, unless it is shown the key's own secret."""

    def lives(self, access_key: str) -> Probe:
        told = isinstance(self.hostup, Odd) and access_key in self.hostup.told
        return Probe(Life.DEAD, 403, "InvalidAccessKeyId", "tx") if told else super().lives(access_key)


@pytest.fixture
def hostup() -> Odd:
    return Odd()


@pytest.fixture
def small(hostup: Odd) -> Small:
    """A key in grace, whose time is over: AK1. The count is asked for as by a worker that is alone."""
    made = Small(hostup=hostup)
    made.storage = Credulous(hostup)
    made.services = replace(made.services, accounts=one_account(hostup, made.storage))
    hostup.living["BY-HAND"] = "somebody's"
    audit(made.services, made.targets, SLACK)
    made.look()
    made.passes(days=30)
    made.look()
    made.passes(days=1, seconds=1)
    return made


def old_key(small: Small) -> RetiringKey | None:
    return next((key for key in small.record().retiring if key.access_key == "AK1"), None)


def events(small: Small) -> list[str]:
    return [entry.event for entry in small.record().history.entries()]


def test_a_delete_that_counts_is_believed_and_costs_two_looks_at_the_count(small: Small, hostup: Odd) -> None:
    before = hostup.asked
    small.look()
    assert old_key(small) is None
    assert events(small)[-2:] == ["key.retired", "key.dead"]
    assert hostup.asked - before == 2


def test_a_key_that_was_not_deleted_is_not_believed_dead(small: Small, hostup: Odd) -> None:
    """Its own secret, from its old version in Vault, still works."""
    hostup.keeps = True
    small.look()
    key = old_key(small)
    assert key is not None
    assert (key.state, key.undiminished) == ("deleted", 3)
    assert key.error == "HostUp counted 3 keys before its delete, and 3 after it"
    assert events(small)[-2:] == ["key.retired", "key.uncounted"]
    small.passes(minutes=21)
    small.look()
    assert events(small)[-1] == "key.overdue"
    (alive,) = [each for each in audit(small.services, small.targets, SLACK).findings if each.kind == "alive"]
    assert alive.what == "access key AK1 was deleted, and HostUp counts no fewer keys since"
    hostup.keeps = False
    small.passes(hours=2)
    small.look()
    assert hostup.told == ["AK1", "AK1"], "it is deleted again"
    assert old_key(small) is None
    assert set(hostup.living) == {"BY-HAND", "AK2"}


@pytest.mark.parametrize("has_secret", [True, False])
def test_a_count_that_is_late_delays_nothing_or_only_a_moment(small: Small, hostup: Odd, *, has_secret: bool) -> None:
    if not has_secret:
        _without_old_version(small)
    hostup.count_lags = 3
    small.look()
    assert (old_key(small) is None) is has_secret, "its own secret proves it at once"
    hostup.count_lags = None
    small.passes(minutes=5)
    small.look()
    assert old_key(small) is None
    assert "key.overdue" not in events(small)


def _without_old_version(small: Small) -> None:
    small.alter(retiring=tuple(replace(key, vault_version=None) for key in small.record().retiring))


def test_a_key_that_somebody_else_made_at_that_moment_is_found_out_by_the_audit(small: Small, hostup: Odd) -> None:
    """Nothing tells it from a key that was not deleted, where its own secret is not known; a person notes it."""
    _without_old_version(small)
    hostup.meanwhile = lambda: hostup.living.update(STRANGER="")
    small.look()
    key = old_key(small)
    assert key is not None
    assert key.undiminished == 3
    record = small.record()
    assert counted_after_all(record, small.clock.now()) is record, "not as young as that"
    lifted = counted_after_all(record, small.clock.now() + MINUTE)
    assert [(each.undiminished, each.error) for each in lifted.retiring] == [(None, "")]
    small.put(lifted)
    small.passes(minutes=5)
    small.look()
    assert old_key(small) is None


def test_where_a_worker_makes_a_key_meanwhile_nothing_is_concluded(small: Small, hostup: Odd) -> None:
    other = replace(TARGET, name="other", path="apps/other")
    hostup.meanwhile = lambda: _once(hostup, lambda: small.look(other))
    small.look()
    assert hostup.made == ["AK1", "AK2", "AK3"]
    assert old_key(small) is None
    assert "key.uncounted" not in events(small)


def _once(hostup: Odd, act: Callable[[], object]) -> None:
    hostup.meanwhile = None
    act()


def test_while_a_worker_makes_a_key_hostup_is_not_even_asked(small: Small, hostup: Odd) -> None:
    before = hostup.asked
    with ExitStack() as stack:
        stack.enter_context(small.services.at("default").account.place("another"))
        small.look()
    assert old_key(small) is None
    assert hostup.asked == before


def test_a_delete_of_what_is_not_there_is_not_compared(small: Small, hostup: Odd) -> None:
    del hostup.living["AK1"]
    small.look()
    assert old_key(small) is None
    assert "key.uncounted" not in events(small)
