"""Copies of an app's secret: all get the same key, a rotation is done when all have it, no key is cut off before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.records import DAY
from tests.unit.rotation.also import ALSO, EU, HERE, Also, everywhere
from tests.worlds import TARGET
from worker.errors import Superseded
from worker.rotation.reconcile import accept
from worker.rotation.record import CopyVersion, Paused, Phase, Record, Request, TroubleKind, encode
from worker.rotation.records import Loaded
from worker.rotation.steps.publish import publish
from worker.rotation.steps.session import Session

SOMEBODY_ELSES = {"access_key": "THEIRS", "secret_key": "s", "password": "p"}


@pytest.fixture
def world() -> Also:
    return Also()


def rotated(times: int = 1) -> Also:
    """A world after so many rotations, each key before the last proven dead."""
    world = Also()
    world.look()
    for _ in range(times - 1):
        world.passes(days=31)
        world.look()
        world.passes(days=2)
        world.look()
        world.passes(hours=1)
        world.look()
    return world


def leaked(world: Also) -> Request:
    return Request(id="leak-1", reason="in a log", at=world.clock.now(), leaked=True)


def test_all_places_get_the_same_secret_and_their_versions_are_on_record(world: Also) -> None:
    world.look()
    assert world.published() == everywhere("AK1")
    main, *copies = world.secrets().values()
    assert copies == [main, main]
    assert world.current.copies == (
        CopyVersion(location=HERE.name, version=1),
        CopyVersion(location=EU.name, version=1),
    )
    succeeded = next(e for e in world.record().history.entries() if e.event == "secret.published")
    assert succeeded.facts["copies"] == [f"{HERE.name} 1", f"{EU.name} 1"]


def test_without_copies_nothing_of_them_is_in_the_document() -> None:
    world = Also()
    world.look(TARGET)
    assert "copies" not in str(encode(world.record()))
    assert "location" not in str(encode(world.record()))


def test_the_next_rotation_replaces_all_and_dead_keys_are_destroyed_everywhere() -> None:
    world = rotated(2)
    assert world.published() == everywhere("AK2")
    assert world.hostup.deleted == ["AK1"]
    assert not world.record().retiring
    for vault, path in ((world.vault, TARGET.path), (world.vault, HERE.path), (world.eu, EU.path)):
        first, last = vault.versions[path]
        assert first is None, path
        assert last is not None, path


def test_what_somebody_added_to_a_copy_stays() -> None:
    world = rotated()
    world.eu.versions[EU.path].append({**world.secrets()[EU.name], "bucket": "uploads"})
    world.passes(days=31)
    world.look()
    assert world.published() == everywhere("AK2")
    assert world.secrets()[EU.name]["bucket"] == "uploads"


@pytest.mark.parametrize("trouble", ["away", "denied", "conflict"])
def test_a_place_that_cannot_be_written_leaves_the_rotation_open_and_the_old_key_alive(trouble: str) -> None:
    world = rotated()
    world.passes(days=31)
    if trouble == "away":
        world.there.lost = ("vault write",)
    elif trouble == "denied":
        world.there.denied = ("vault write",)
    else:
        world.eu.versions[EU.path].append(SOMEBODY_ELSES)
        world.alter(trouble=None, requests=(leaked(world),))  # a leak waits for no copy to be seen
    world.look()
    record = world.record()
    assert record.rotation is not None
    assert record.rotation.phase is Phase.VERIFIED
    assert record.failure is not None
    assert f"the copy at {EU.name}: " in record.failure.what
    assert record.rotation.copies == (CopyVersion(location=HERE.name, version=2),)
    assert [world.published()[place] for place in (TARGET.path, HERE.name)] == ["AK2", "AK2"]
    for _ in range(10):
        world.passes(days=2)
        world.look(watching=True)
    assert "AK1" in world.hostup.living, "its grace has not begun"
    assert world.hostup.made == ["AK1", "AK2"]
    world.there.lost = world.there.denied = ()
    if trouble == "conflict":
        world.eu.soft_delete(EU.path)
    world.passes(hours=2)
    world.look()
    assert world.published() == everywhere("AK2")
    assert world.record().rotation is None
    if trouble != "conflict":
        assert "AK1" in world.hostup.living, "its grace begins now"
        world.passes(days=1, seconds=1)
        world.look()
    assert "AK1" not in world.hostup.living


def test_what_is_on_record_of_copies_stays_where_nobody_can_tell_whose_another_one_is() -> None:
    world = rotated()
    world.passes(days=31)
    world.there.denied = ("vault write",)
    world.look()
    rotation = world.record().rotation
    assert rotation is not None
    assert [copy.location for copy in rotation.copies] == [HERE.name]
    world.there.denied = ()
    world.eu.versions[EU.path].append({**SOMEBODY_ELSES, "rotation_id": "theirs"})
    world.here.denied = ("vault read state/_keys",)
    world.passes(hours=2)
    world.look()
    assert world.record().rotation == rotation
    failure = world.record().failure
    assert failure is not None
    assert (failure.kind, failure.count) == ("VaultDenied", 2)


def test_a_write_whose_answer_was_lost_is_recognised(world: Also) -> None:
    world.there.lost_after = ("vault write",)
    world.look()
    world.there.lost_after = ()
    world.passes(minutes=1)
    world.look()
    assert world.published() == everywhere("AK1")
    assert len(world.eu.versions[EU.path]) == 1
    assert world.record().rotation is None


def test_a_vault_that_is_away_is_not_asked_again_at_once_and_no_key_is_made_for_the_schedule() -> None:
    world = rotated()
    world.has_eu_away()
    world.passes(days=31)
    calls = len(world.there.calls)
    world.look()
    world.look()
    assert len(world.there.calls) == calls + 1
    assert world.hostup.made == ["AK1"]
    assert world.record().rotation is None
    failure = world.record().failure
    assert failure is not None
    assert EU.name in failure.what
    assert world.services.vault_away.last is None, "the Vault with the records is there"


def test_a_key_that_died_is_replaced_although_a_copy_cannot_be_reached() -> None:
    world = rotated()
    del world.hostup.living["AK1"]
    world.has_eu_away()
    world.watch(3)
    assert world.published() == everywhere("AK2") | {EU.name: "AK1"}
    world.has_eu_away(away=False)
    world.passes(hours=2)
    world.look()
    assert world.published() == everywhere("AK2")


@pytest.mark.parametrize("place", [HERE.name, EU.name])
def test_the_first_publication_over_somebody_elses_secret_is_a_conflict(place: str, world: Also) -> None:
    vault, path = (world.vault, HERE.path) if place == HERE.name else (world.eu, EU.path)
    vault.versions[path] = [SOMEBODY_ELSES]
    world.look()
    assert vault.latest(path) == SOMEBODY_ELSES
    assert world.hostup.made == []
    failure = world.record().failure
    assert failure is not None
    assert (failure.kind, place in failure.what, failure.location) == ("Conflict", True, place)


def test_a_secret_of_another_target_is_never_overwritten(world: Also) -> None:
    other = replace(TARGET, name="other", path=HERE.path)
    world.look(other)
    theirs = world.vault.latest(HERE.path)
    world.look()
    assert world.vault.latest(HERE.path) == theirs
    failure = world.record().failure
    assert failure is not None
    assert HERE.name in failure.what


def test_the_grace_that_any_place_promised_counts() -> None:
    world = rotated()
    promised = {**world.secrets()[EU.name], "grace_seconds": 3 * 86_400}
    world.eu.versions[EU.path].append(promised)
    world.passes(days=31)
    world.look()
    (key,) = world.record().retiring
    assert key.retire_after == world.clock.now() + 3 * DAY


def test_the_grace_that_was_promised_counts_also_when_the_copy_was_written_earlier() -> None:
    world = rotated()
    world.vault.versions[HERE.path][-1] = {**world.secrets()[HERE.name], "grace_seconds": 3 * 86_400}
    world.passes(days=31)
    world.there.lost = ("vault write",)
    world.look()
    world.there.lost = ()
    world.passes(hours=2)
    world.look()
    (key,) = world.record().retiring
    assert key.retire_after == world.clock.now() + 3 * DAY


def test_a_new_place_gets_a_key_at_the_next_look() -> None:
    world = Also()
    world.look(TARGET)
    world.passes(hours=1)
    world.look()
    assert world.published() == everywhere("AK2")
    started = [e for e in world.record().history.entries() if e.event == "rotation.started"]
    assert started[-1].facts["trigger"] == "destination"
    assert EU.name in str(started[-1].facts["reason"])
    world.look()
    assert world.hostup.made == ["AK1", "AK2"]


def test_a_new_place_waits_for_a_pause_as_any_rotation() -> None:
    world = Also()
    world.look(TARGET)
    world.alter(paused=Paused(at=world.clock.now(), by="ann", reason="exam"))
    world.look()
    assert world.hostup.made == ["AK1"]


def test_a_place_that_is_taken_away_is_left_alone_and_named_once() -> None:
    world = rotated()
    without = replace(ALSO, also=(HERE,))
    world.passes(days=31)
    for _ in range(3):
        world.look(without)
    assert world.published() == everywhere("AK2") | {EU.name: "AK1"}
    assert [e.facts["location"] for e in world.record().history.entries() if e.event == "copy.left"] == [EU.name]
    world.passes(days=2)
    world.look(without)
    assert "AK1" not in world.hostup.living
    assert len(world.eu.versions[EU.path]) == 1
    assert world.eu.latest(EU.path) is not None


def test_taking_a_place_away_ends_the_waiting_for_it() -> None:
    world = rotated()
    world.passes(days=31)
    world.there.denied = ("vault write",)
    world.look()
    assert world.record().rotation is not None
    world.passes(hours=2)
    world.look(replace(ALSO, also=(HERE,)))
    assert world.record().rotation is None


def test_a_place_that_comes_back_is_replaced_as_its_key_is_of_this_target() -> None:
    world = rotated()
    world.passes(days=31)
    world.look(replace(ALSO, also=(HERE,)))
    world.passes(days=2)
    world.look()
    assert world.published() == everywhere("AK3")


def test_a_deleted_copy_is_brought_back() -> None:
    world = rotated()
    world.eu.soft_delete(EU.path)
    world.watch()
    assert world.published() == everywhere("AK1")
    assert world.record().trouble is None
    restored = next(e for e in world.record().history.entries() if e.event == "secret.restored")
    assert restored.facts["location"] == EU.name


def test_a_deleted_copy_whose_vault_goes_away_is_brought_back_later() -> None:
    world = rotated()
    world.eu.soft_delete(EU.path)
    world.there.lost = ("vault undelete",)
    world.watch(3)
    assert world.record().trouble is None
    world.there.lost = ()
    world.watch(2)
    assert world.published() == everywhere("AK1")


@pytest.mark.parametrize("how", ["destroyed", "forgotten", "may not be undeleted"])
def test_a_copy_that_is_gone_is_found_confirmed_and_replaced(how: str) -> None:
    world = rotated()
    if how == "forgotten":
        world.eu.forget(EU.path)
    elif how == "destroyed":
        world.eu.versions[EU.path][-1] = None
    else:
        world.eu.soft_delete(EU.path)
        world.there.denied = ("vault undelete",)
    world.look(watching=True)
    trouble = world.record().trouble
    assert trouble is not None
    assert (trouble.kind, trouble.location, trouble.confirmed) == (TroubleKind.SECRET_LOST, EU.name, False)
    world.passes(seconds=6)
    world.look()
    assert world.published() == everywhere("AK2")
    started = [e for e in world.record().history.entries() if e.event == "rotation.started"]
    assert started[-1].facts["trigger"] == "healing"


@pytest.mark.parametrize("theirs", [SOMEBODY_ELSES, None], ids=["overwritten", "set back"])
def test_a_copy_that_somebody_else_wrote_over_is_named_and_left(theirs: dict[str, object] | None) -> None:
    world = rotated()
    if theirs is None:
        world.passes(days=31)
        world.look()
        theirs = dict(world.eu.versions[EU.path][0] or {})
    world.eu.versions[EU.path].append(theirs)
    world.watch(3)
    trouble = world.record().trouble
    assert trouble is not None
    assert (trouble.kind, trouble.location, trouble.confirmed) == (TroubleKind.OVERWRITTEN, EU.name, True)
    assert world.eu.latest(EU.path) == theirs
    assert "conflict.found" in world.events()
    world.eu.versions[EU.path].append(dict(world.secrets()[TARGET.path]))
    world.watch()
    assert world.record().trouble is None
    assert "target.recovered" in world.events()


@pytest.mark.parametrize("changed", [{"secret_key": "another"}, {"endpoint": "https://elsewhere"}, {"region": None}])
def test_what_somebody_changed_in_a_copy_under_our_own_key_is_named(changed: dict[str, object]) -> None:
    world = rotated()
    world.eu.versions[EU.path].append({**(world.eu.latest(EU.path) or {}), **changed})
    world.watch(3)
    trouble = world.record().trouble
    assert trouble is not None
    assert (trouble.kind, trouble.location, trouble.confirmed) == (TroubleKind.OVERWRITTEN, EU.name, True)
    assert next(iter(changed)) in trouble.what


def test_a_field_that_somebody_added_to_a_copy_is_no_trouble() -> None:
    world = rotated()
    world.eu.versions[EU.path].append({**(world.eu.latest(EU.path) or {}), "bucket": "b"})
    world.watch(3)
    assert world.record().trouble is None


def test_a_key_that_a_copy_still_publishes_is_not_deleted() -> None:
    world = rotated()
    world.passes(days=31)
    world.look()
    world.eu.versions[EU.path].append(dict(world.eu.versions[EU.path][0] or {}))
    world.passes(days=2)
    world.look()
    assert "AK1" in world.hostup.living
    assert EU.name in world.record().retiring[0].error


def test_a_key_is_not_deleted_while_nobody_can_see_what_a_copy_publishes() -> None:
    world = rotated()
    world.passes(days=31)
    world.look()
    world.has_eu_away()
    world.passes(days=2)
    world.look()
    world.passes(hours=2)
    world.look()
    assert "AK1" in world.hostup.living
    world.has_eu_away(away=False)
    world.passes(hours=2)
    world.look()
    world.passes(hours=13)  # apps could not read the new key until now: half of a grace at most, counted from then
    world.look()
    assert "AK1" not in world.hostup.living


def test_a_copy_that_cannot_be_looked_at_is_no_trouble_and_ends_none() -> None:
    world = rotated()
    world.eu.versions[EU.path].append(SOMEBODY_ELSES)
    world.watch(3)
    world.has_eu_away()
    seen = world.look(watching=True).observation
    assert seen is not None
    assert (seen.living, seen.trouble) == (True, None)
    assert EU.name in seen.unseen
    assert world.record().trouble is not None, "nobody saw that it is over"


def test_a_leak_is_served_and_the_old_key_dies_only_when_all_have_the_new_one() -> None:
    world = rotated()
    world.there.lost = ("vault write",)
    accept(world.services, ALSO, leaked(world))
    world.look()
    assert "AK1" in world.hostup.living
    world.there.lost = ()
    world.passes(minutes=10)
    world.look()
    assert world.published() == everywhere("AK2")
    assert "AK1" not in world.hostup.living


def test_a_leak_that_is_told_of_while_some_have_the_new_key_gets_another_one() -> None:
    world = rotated()
    world.passes(days=31)
    world.there.lost = ("vault write",)
    world.look()
    world.passes(minutes=10)
    accept(world.services, ALSO, leaked(world))
    world.there.lost = ()
    world.passes(hours=2)
    world.look()
    assert world.published() == everywhere("AK3"), "AK2 was read by some before the leak was told of"
    assert not {"AK1", "AK2"} & world.hostup.living.keys()


def test_a_worker_that_was_slow_writes_over_nothing_that_a_later_rotation_published() -> None:
    world = rotated()
    world.passes(days=31)
    world.there.lost = ("vault write",)
    world.look()
    old = world.record()
    world.there.lost = ()
    world.passes(hours=2)
    world.look()
    world.passes(days=31)
    world.look()
    assert world.published() == everywhere("AK3")
    _publish_by(world, old)
    assert world.published() == everywhere("AK3")


def test_a_worker_that_was_frozen_before_a_copy_writes_over_nothing_that_came_since() -> None:
    world = rotated()
    world.passes(days=31)

    def meanwhile() -> None:
        """Another worker publishes that key, and a later one."""
        world.look()
        world.passes(days=31)
        world.look()
        assert world.published() == everywhere("AK3")

    def once_it_is_published() -> None:
        world.here.before[f"vault read {HERE.path}"] = meanwhile

    world.here.before[f"vault write {TARGET.path}"] = once_it_is_published
    world.look()
    assert world.published() == everywhere("AK3")
    assert world.current.access_key == "AK3"


def _publish_by(world: Also, record: Record) -> None:
    """What a worker does that read the record long ago."""
    assert record.rotation is not None
    session = Session(world.services, ALSO, Loaded(record, 1))
    with pytest.raises(Superseded):
        publish(session, record.rotation.id)
