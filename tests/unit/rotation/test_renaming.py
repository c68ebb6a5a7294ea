"""A target that has another name in the configuration: its record goes along, once and whole."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.records import MINUTE, NOW, create, current, empty, retiring, rotation, staged
from tests.worlds import TARGET, Small
from worker.cli.rename import move
from worker.errors import RecordDeleted, TryAgainLater, UsageError
from worker.events import Event
from worker.rotation.audit import audit
from worker.rotation.changes.renaming import emptied, taken_along
from worker.rotation.changes.rotation import note, requested
from worker.rotation.claims import Owner
from worker.rotation.record import Phase, Record, Request, decode, encode

FULL = replace(
    note(empty(), Event.KEY_CREATED, NOW, access_key="AK0", request_id="request-0"),
    current=current(),
    rotation=rotation(Phase.STAGED, staged("AK1")),
    retiring=(retiring("AK9"),),
    unconfirmed_creates=(create(3),),
    adopted=1,
)
LATER = replace(create(4), rotation_id="rotation-8")
NEW = Record(target="films", path="apps/media")


def test_everything_goes_along() -> None:
    moved = taken_along(NEW, FULL, NOW)
    decode(encode(moved), "films")
    assert list(moved.keys_on_record()) == ["AK0", "AK1", "AK9"]
    assert (moved.unconfirmed_creates, moved.adopted) == (FULL.unconfirmed_creates, 1)
    assert [entry.event for entry in moved.history.entries()] == ["key.created", "target.renamed"]
    left = emptied(FULL, moved, NOW)
    decode(encode(left), "media")
    assert not list(left.keys_on_record())
    assert (left.rotation, left.unconfirmed_creates, left.adopted) == (None, (), 0)
    assert [entry.request_id for entry in left.history.entries()] == ["request-0", None]
    assert "s3cr3t-canary" not in str(encode(left))


def test_what_came_under_the_new_name_already_is_kept() -> None:
    known = requested(NEW, Request(id="request-9", reason="", at=NOW))
    moved = taken_along(known, FULL, NOW)
    assert [request.id for request in moved.requests] == ["request-9"]
    numbers = [entry.number for entry in moved.history.entries()]
    assert numbers == sorted(set(numbers)) == list(range(1, moved.next_entry))


@pytest.mark.parametrize(
    "known",
    [
        replace(NEW, current=current("AK7")),
        replace(NEW, retiring=(retiring("AK7"),)),
        replace(NEW, rotation=rotation(Phase.CREATING)),
        replace(NEW, unconfirmed_creates=(create(3),)),
    ],
    ids=["current", "retiring", "creating", "unconfirmed"],
)
def test_two_that_have_something_stay_as_they_are(known: Record) -> None:
    with pytest.raises(UsageError, match="both media and films"):
        taken_along(known, FULL, NOW)


def test_a_create_under_way_is_waited_for() -> None:
    creating = replace(FULL, rotation=rotation(Phase.CREATING))
    with pytest.raises(TryAgainLater):
        taken_along(NEW, creating, NOW)
    assert taken_along(NEW, creating, NOW + 2 * MINUTE).rotation


def test_it_may_be_done_again_after_a_crash_in_between() -> None:
    moved = taken_along(NEW, FULL, NOW)
    assert taken_along(moved, FULL, NOW) is moved
    rotated_since = replace(moved, current=current("AK2", 2))
    assert taken_along(rotated_since, FULL, NOW) is rotated_since


def test_a_key_that_a_slow_worker_brings_to_the_old_name_is_not_lost() -> None:
    moved = taken_along(NEW, FULL, NOW)
    late = replace(FULL, retiring=(*FULL.retiring, retiring("STRAY")), unconfirmed_creates=(create(3), LATER))
    left = emptied(late, moved, NOW)
    assert list(left.keys_on_record()) == ["STRAY"]
    assert left.unconfirmed_creates == (LATER,)


def test_the_world_agrees_afterwards_and_no_key_was_made_or_deleted() -> None:
    small = Small()
    small.look()
    films = replace(TARGET, name="films")
    small.targets = {"films": films}
    with pytest.raises(RecordDeleted) as caught:
        small.look(films)
    assert "rotator rename OLD films" in caught.value.hint
    store, now = small.store, small.clock.now()
    store.claims.claim("AK1", Owner("media", None))
    move(store, store.load("media", "apps/media"), store.load("films", "apps/media"), now)
    assert store.claims.owner("AK1") == Owner("films", None)
    assert [finding.kind for finding in audit(small.services, small.targets, MINUTE).findings] == []
    keys = dict(small.hostup.living)
    small.passes(days=29)
    small.look(films)
    assert small.hostup.living == keys
    small.passes(days=1, hours=1)
    small.look(films)
    assert len(small.hostup.made) == 2
    assert [key.access_key for key in small.record("films").retiring] == ["AK1"]
    small.passes(days=1, hours=1)
    small.look(films)
    assert set(small.hostup.living) == {"AK2"}, "the key from before is deleted under the new name"
