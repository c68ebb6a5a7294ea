"""What people decide about a target with copies: rollback, adopt, remove; and what is shown of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.records import DAY, request
from tests.unit.rotation.also import ALSO, EU, HERE, Also, everywhere
from tests.worlds import TARGET
from worker.errors import Conflict, CopyFailed
from worker.rotation.changes.removal import Ending, ended, read_by_apps
from worker.rotation.changes.settlement import adopted_key, found_in
from worker.rotation.copy_access import published_of
from worker.rotation.leftover import leftover, retire_leftover
from worker.rotation.reconcile import accept
from worker.rotation.record import CopyVersion, Record, Why, decode, encode
from worker.rotation.status import due_at, summary_of
from worker.rotation.steps.publish import publish, verify
from worker.rotation.steps.rollback import Wanted, begin_rollback, rollback_of
from worker.rotation.steps.session import Session
from worker.rotation.survey import survey
from worker.targets.receipts import Receipt, with_receipt

WANTED = Wanted(None, "the new key lacks a bucket", "alice")


@pytest.fixture
def world() -> Also:
    """AK2 is current everywhere, AK1 in its grace."""
    made = Also()
    made.look()
    accept(made.services, ALSO, request("first", made.clock.now()))
    made.look()
    assert made.published() == everywhere("AK2")
    return made


def session(world: Also) -> Session:
    return Session(world.services, ALSO, world.store.load(ALSO.name, ALSO.path))


def roll_back(world: Also) -> Session:
    work = session(world)
    begin_rollback(work, rollback_of(work, WANTED), WANTED.by)
    assert work.record.rotation is not None
    verify(work, work.record.rotation.id)
    publish(work, work.record.rotation.id)
    return work


def test_a_rollback_takes_all_places_back_and_leaves_no_second_copy_of_its_key(world: Also) -> None:
    roll_back(world)
    assert world.published() == everywhere("AK1")
    for vault, path in ((world.vault, TARGET.path), (world.vault, HERE.path), (world.eu, EU.path)):
        assert vault.versions[path][0] is None, path
    (key,) = world.record().retiring
    assert key.copies == (CopyVersion(location=HERE.name, version=2), CopyVersion(location=EU.name, version=2))
    world.passes(days=2)
    world.look()
    assert world.hostup.living.keys() == {"BY-HAND", "AK1"}
    assert world.eu.versions[EU.path][1] is None


def test_a_rollback_is_refused_where_a_place_could_not_go_back(world: Also) -> None:
    world.there.denied = ("vault capabilities",)
    with pytest.raises(CopyFailed, match=EU.name):
        rollback_of(session(world), WANTED)
    world.there.denied = ()
    world.eu.versions[EU.path].append({"access_key": "THEIRS"})
    with pytest.raises(Conflict, match=EU.name):
        rollback_of(session(world), WANTED)
    assert world.record().rotation is None


def test_a_rollback_that_stops_at_a_place_goes_on_there(world: Also) -> None:
    world.there.lost = ("vault write",)
    roll_back(world)
    assert world.published() == everywhere("AK1") | {EU.name: "AK2"}
    assert "AK2" in world.hostup.living
    world.there.lost = ()
    world.passes(minutes=10)
    world.look()
    assert world.published() == everywhere("AK1")


def test_a_rollback_that_is_given_up_keeps_the_versions_of_its_copies(world: Also) -> None:
    work = session(world)
    begin_rollback(work, rollback_of(work, WANTED), WANTED.by)
    world.passes(days=2)
    assert work.record.rotation is not None
    verify(work, work.record.rotation.id)
    key = next(each for each in work.record.retiring if each.access_key == "AK1")
    assert [copy.version for copy in key.copies] == [1, 1]


def test_an_adopted_key_is_replaced_everywhere_at_the_next_look(world: Also) -> None:
    world.hostup.living["MINE"] = "by hand"
    world.vault.versions[TARGET.path].append({"access_key": "MINE", "secret_key": "secret-of-MINE"})
    world.store.claims.hand_over("MINE", ALSO.name)
    found = found_in(ALSO.fields, world.vault.read(TARGET.path))
    assert found is not None
    now = world.clock.now()
    world.put(adopted_key(world.record(), found, now, DAY))
    assert world.current.copies == ()
    world.look()
    assert world.published() == everywhere("AK3")
    assert {key.access_key for key in world.record().retiring} == {"AK1", "AK2", "MINE"}


def test_adopting_the_same_key_again_keeps_its_copies(world: Also) -> None:
    found = found_in(ALSO.fields, world.vault.read(TARGET.path))
    assert found is not None
    record = adopted_key(world.record(), found, world.clock.now(), DAY)
    assert record.current is not None
    assert record.current.copies == world.current.copies


def test_a_copy_that_somebody_made_by_hand_of_the_adopted_key_is_replaced() -> None:
    world = Also()
    by_hand = {"access_key": "BY-HAND", "secret_key": "secret-of-BY-HAND"}
    world.vault.versions |= {TARGET.path: [by_hand], HERE.path: [by_hand]}
    world.eu.versions[EU.path] = [by_hand]
    world.hostup.living["OTHER"] = "so that none is the last"
    world.look()
    assert world.hostup.made == [], "nobody has said that it may be replaced"
    found = found_in(ALSO.fields, world.vault.read(TARGET.path))
    assert found is not None
    world.put(adopted_key(world.record(), found, world.clock.now(), DAY))
    world.look()
    assert world.published() == everywhere("AK1")


def test_a_target_that_was_removed_retires_no_key_that_a_copy_still_publishes(world: Also) -> None:
    world.eu.versions[EU.path].append(dict(world.eu.versions[EU.path][0] or {}))
    record = world.record()
    assert published_of(world.services, record) == {"AK1", "AK2"}
    read = read_by_apps(record, frozenset({"AK2"}))
    assert read is not None
    world.put(ended(record, Ending(revoke=False, published=frozenset({"AK2"}), shown="AK2"), world.clock.now()))
    world.passes(days=2)
    retire_leftover(world.services, survey(world.services, {}), ALSO.name)
    assert "AK1" in world.hostup.living
    world.eu.versions[EU.path].append({"access_key": "AK2"})
    retire_leftover(world.services, survey(world.services, {}), ALSO.name)
    assert "AK1" not in world.hostup.living


def test_what_is_left_of_a_target_knows_its_copies_as_far_as_their_destinations_are_configured(world: Also) -> None:
    assert leftover(world.services, ALSO.name).target.also == (HERE, EU)
    without = replace(world.services, destinations={})
    assert leftover(without, ALSO.name).target.also == (HERE,)


def test_a_key_that_is_revoked_keeps_the_versions_of_its_copies(world: Also) -> None:
    ending = Ending(revoke=True, published=frozenset({"AK2"}), shown="AK2")
    record = ended(world.record(), ending, world.clock.now())
    revoked = next(key for key in record.retiring if key.why is Why.REVOKED)
    assert [copy.version for copy in revoked.copies] == [2, 2]


def test_a_record_with_copies_is_read_back_as_it_was(world: Also) -> None:
    world.there.lost = ("vault write",)
    accept(world.services, ALSO, request("second", world.clock.now()))
    world.look()
    record = world.record()
    assert record.rotation is not None
    assert record.rotation.copies
    assert decode(encode(record), ALSO.name) == record


def test_the_summary_tells_where_copies_are_and_which_have_the_new_key(world: Also) -> None:
    assert "copies" not in summary_of(Record(target="x", path="y"), TARGET, world.clock.now())
    world.there.lost = ("vault write",)
    accept(world.services, ALSO, request("second", world.clock.now()))
    world.look()
    summary = summary_of(world.record(), ALSO, world.clock.now())
    assert summary["copies"] == [
        {"location": HERE.name, "vault_version": 3, "has_new_key": True},
        {"location": EU.name, "vault_version": 2, "has_new_key": False},
    ]


def test_a_target_that_lacks_a_copy_is_due_now(world: Also) -> None:
    now = world.clock.now()
    assert due_at(world.record(), replace(ALSO, also=(*ALSO.also, replace(HERE, path="apps/third"))), now) == now
    due = due_at(world.record(), ALSO, now)
    assert due is not None
    assert due > now + 20 * DAY


def test_who_reads_a_copy_in_the_same_mount_keeps_an_old_key_as_others_do(world: Also) -> None:
    kept = replace(ALSO, retire_cap=10 * DAY)
    now = world.clock.now()
    receipt = Receipt("laptop", "AK1", 1, "rotation-1", now + DAY, now + DAY)
    root = world.services.policy.receipts_path
    world.vault.versions[f"{root}/{HERE.path}"] = [with_receipt({}, receipt)]
    world.passes(days=1, seconds=1)
    world.look(kept)
    assert "AK1" in world.hostup.living
    assert [key.access_key for key in world.record().retiring] == ["AK1"]
