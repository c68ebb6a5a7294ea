"""A rollback: the key before becomes current again, while it lives; refused with a reason otherwise."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.records import DAY, MINUTE, NOW, current, empty, request, retiring, rotation
from tests.worlds import TARGET, Small
from worker.errors import (
    Conflict,
    Superseded,
    TryAgainLater,
    UsageError,
    VaultDenied,
    VaultError,
    VaultUnavailable,
)
from worker.rotation.changes.holding import paused
from worker.rotation.changes.rollback import brought_back
from worker.rotation.reconcile import accept
from worker.rotation.record import Paused, Why
from worker.rotation.status import due_at
from worker.rotation.steps.publish import publish, verify
from worker.rotation.steps.retire import delete
from worker.rotation.steps.rollback import Wanted, begin_rollback, rollback_of
from worker.rotation.steps.session import Session
from worker.targets.schedule import Schedule

WANTED = Wanted(None, "the new key lacks a bucket", "alice@desk")


@pytest.fixture
def small() -> Small:
    """AK2 is current as version 2, AK1 in its grace."""
    made = Small()
    made.hostup.living["BY-HAND"] = ""
    made.look()
    accept(made.services, TARGET, request("first", made.clock.now()))
    made.look()
    return made


def session(small: Small) -> Session:
    return Session(small.services, TARGET, small.store.load(TARGET.name, TARGET.path))


def begin(small: Small, wanted: Wanted = WANTED) -> Session:
    work = session(small)
    begin_rollback(work, rollback_of(work, wanted), wanted.by)
    return work


def finish(work: Session) -> None:
    rotation = work.record.rotation
    assert rotation
    verify(work, rotation.id)
    publish(work, rotation.id)


def test_the_old_key_is_current_again_and_the_other_one_gets_its_grace(small: Small) -> None:
    finish(begin(small))
    record, secret = small.record(), small.vault.latest(TARGET.path)
    assert record.current
    assert secret
    assert (record.current.access_key, record.current.vault_version) == ("AK1", 3)
    assert (secret["access_key"], secret["secret_key"]) == ("AK1", "secret-of-AK1")
    assert record.current.request_id == "request-of-AK1"
    assert [(key.access_key, key.retire_after) for key in record.retiring] == [("AK2", small.clock.now() + DAY)]
    assert record.served[-1][0] == "first", "a rollback serves no request"
    assert small.vault.versions[TARGET.path][0] is None, "its old copy is destroyed"
    started = next(e for e in record.history.newest_first() if e.event == "rotation.started")
    assert (started.facts["trigger"], started.facts["by"]) == ("rollback", "alice@desk")
    small.passes(days=1, seconds=1)
    small.look()
    assert small.hostup.living.keys() == {"BY-HAND", "AK1"}


def test_after_a_crash_another_worker_goes_on_and_the_key_outlives_its_old_grace(small: Small) -> None:
    work = begin(small)
    assert work.record.rotation
    verify(work, work.record.rotation.id)
    small.passes(days=2)
    small.look()
    record = small.record()
    assert record.current
    assert record.current.access_key == "AK1"
    assert "AK1" in small.hostup.living


def test_an_intent_that_nobody_saw_in_time_is_given_up_and_the_key_retires_as_before(small: Small) -> None:
    begin(small)
    small.passes(days=1)
    small.look()
    record = small.record()
    assert record.current
    assert (record.current.access_key, record.rotation, record.failure) == ("AK2", None, None)
    assert [key.access_key for key in record.retiring] == ["AK1"]
    small.passes(minutes=2)
    small.look()
    assert small.hostup.living.keys() == {"BY-HAND", "AK2"}
    assert small.vault.versions[TARGET.path][0] is None


def test_a_key_that_is_refused_after_all_is_given_up(small: Small) -> None:
    begin(small)
    del small.hostup.living["AK1"]
    small.look()
    record = small.record()
    assert (record.rotation, record.failure) == (None, None)
    assert [key.access_key for key in record.retiring] == ["AK1"]


def test_a_worker_with_an_old_record_in_hand_deletes_nothing_that_is_rolled_back(small: Small) -> None:
    """Before it is published, what apps read does not tell, either."""
    frozen, work = session(small), begin(small)
    assert work.record.rotation
    verify(work, work.record.rotation.id)
    small.passes(days=1, seconds=1)
    with pytest.raises(Superseded):
        delete(frozen, "AK1")
    assert "AK1" in small.hostup.living


def test_its_own_write_is_recognised_after_a_crash(small: Small) -> None:
    work = begin(small)
    rotation = work.record.rotation
    assert rotation
    verify(work, rotation.id)
    staged = work.record
    publish(work, rotation.id)
    small.put(staged)  # the app's secret is written, and the record is not
    small.look()
    record = small.record()
    assert record.current
    assert (record.current.access_key, record.current.vault_version) == ("AK1", 3)
    assert record.failure is None


def test_requests_that_came_meanwhile_are_served_afterwards(small: Small) -> None:
    begin(small)
    accept(small.services, TARGET, request("later", small.clock.now()))
    small.look()
    record = small.record()
    assert record.current
    assert record.current.access_key == "AK3"
    assert "later" in dict(record.served)


@pytest.mark.parametrize("error", [VaultDenied("no", operation="destroy"), VaultUnavailable("away", operation="x")])
def test_an_old_copy_that_cannot_be_destroyed_does_not_keep_the_key_off_the_record(
    small: Small, error: VaultError
) -> None:
    work, destroy = begin(small), small.vault.destroy

    def fail(path: str, version: int) -> None:  # noqa: ARG001 - it fails for any
        raise error

    small.vault.destroy = fail  # type: ignore[method-assign]  # a Vault that does not let it
    with suppress(VaultUnavailable):
        finish(work)
    small.vault.destroy = destroy  # type: ignore[method-assign]  # it does again
    small.look()
    record = small.record()
    assert record.current
    assert (record.current.access_key, record.current.vault_version) == ("AK1", 3)
    assert (small.vault.versions[TARGET.path][0] is None) is isinstance(error, VaultUnavailable)


def test_back_and_forth(small: Small) -> None:
    for key in ("AK1", "AK2", "AK1"):
        work = begin(small)
        finish(work)
        assert work.record.current
        assert work.record.current.access_key == key


def test_a_version_that_is_destroyed_a_refused_key_and_a_strange_secret_are_refused(small: Small) -> None:
    before = small.record()
    del small.hostup.living["AK1"]
    with pytest.raises(UsageError, match="refuses access key AK1"):
        begin(small)
    small.vault.destroy(TARGET.path, 1)
    with pytest.raises(UsageError, match="is destroyed"):
        begin(small)
    there = small.vault.read(TARGET.path)
    small.vault.write(TARGET.path, {"access_key": "somebody's"}, there.version)
    with pytest.raises(Conflict):
        begin(small)
    assert small.record() == before


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"retiring": ()}, "no key before this one"),
        ({"retiring": (retiring(after=DAY, deleted=True),)}, "is deleted already"),
        ({"retiring": (retiring(after=timedelta(seconds=59)),)}, "too soon"),
        ({"retiring": (replace(retiring(after=DAY), vault_version=None),)}, "in which version"),
        ({"retiring": (replace(retiring(after=DAY), why=Why.REFUSED),)}, "no key before this one"),
        ({"requests": (replace(request(), leaked=True),)}, "leaked"),
        ({"revoking": "AK0"}, "leaked"),
        ({"deletes_held": True}, "set back"),
        ({"current": None}, "no current key"),
    ],
)
def test_what_forbids_it(changes: dict[str, object], why: str) -> None:
    record = replace(empty(), current=current(), retiring=(retiring(after=DAY),))
    assert brought_back(record, None, NOW, MINUTE).access_key == "AK9"
    with pytest.raises(UsageError, match=why):
        brought_back(replace(record, **changes), None, NOW, MINUTE)  # type: ignore[arg-type]  # fields that exist


def test_a_rotation_under_way_and_another_name() -> None:
    record = replace(empty(), current=current(), retiring=(retiring(after=DAY), retiring("AK8", after=2 * DAY)))
    assert brought_back(record, None, NOW, MINUTE).access_key == "AK8", "the one that was replaced last"
    assert brought_back(record, "AK9", NOW, MINUTE).access_key == "AK9"
    with pytest.raises(UsageError, match="is not retiring"):
        brought_back(record, "AK7", NOW, MINUTE)
    with pytest.raises(TryAgainLater, match="is under way"):
        brought_back(replace(record, rotation=rotation()), None, NOW, MINUTE)


def aged(days: int) -> Small:
    """AK1 became so many days old before AK2 took its place just now."""
    made = Small()
    made.hostup.living["BY-HAND"] = ""
    made.look()
    made.passes(days=days)
    accept(made.services, TARGET, request("first", made.clock.now()))
    made.look()
    return made


def test_the_age_of_the_key_counts_from_its_birth() -> None:
    small = aged(days=20)
    born = small.clock.now() - 20 * DAY
    finish(begin(small))
    due = due_at(small.record(), TARGET, small.clock.now())
    assert due
    assert born + 29 * DAY < due <= born + 30 * DAY
    secret = small.vault.latest(TARGET.path)
    assert secret
    assert secret["next_rotation_at"] == due.isoformat(timespec="seconds")
    small.passes(days=9, seconds=86_400)
    small.look()
    record = small.record()
    assert record.current
    assert record.current.access_key == "AK3", "it is not older than every"


def test_by_cron_the_run_that_made_the_other_key_does_not_undo_it() -> None:
    small = aged(days=20)
    daily = replace(TARGET, schedule=Schedule(cron="0 3 * * *"))
    work = Session(small.services, daily, small.store.load(TARGET.name, TARGET.path))
    begin_rollback(work, rollback_of(work, WANTED), WANTED.by)
    finish(work)
    due = due_at(small.record(), daily, small.clock.now())
    assert due
    assert small.clock.now() < due <= small.clock.now() + DAY + MINUTE


def test_a_key_that_is_too_old_comes_back_only_where_a_person_has_the_next_one_wait() -> None:
    small = aged(days=30)
    with pytest.raises(UsageError, match="older than `every` allows") as caught:
        begin(small)
    assert "rotator pause media" in caught.value.hint
    assert small.record().rotation is None
    now = small.clock.now()
    small.store.change(
        small.store.load(TARGET.name, TARGET.path),
        lambda record: paused(record, Paused(at=now, by="alice", reason="the new key lacks a bucket", until=now + DAY)),
    )
    finish(begin(small))
    small.look()
    record = small.record()
    assert record.current
    assert record.current.access_key == "AK1"
    small.passes(days=1, seconds=1)
    small.look()
    record = small.record()
    assert record.current
    assert record.current.access_key == "AK3", "when the pause is over, it is replaced"
