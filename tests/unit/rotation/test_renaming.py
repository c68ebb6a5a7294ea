"""A target that has another name in the configuration: its record goes along, once and whole."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.records import DAY, MINUTE, NOW, create, current, empty, request, retiring, rotation, staged
from tests.worlds import TARGET, Small
from worker.cli.rename import move
from worker.cli.report import histories
from worker.errors import RecordDeleted, TryAgainLater, UsageError
from worker.events import Event
from worker.rotation.audit import audit
from worker.rotation.changes.renaming import emptied, taken_along
from worker.rotation.changes.rotation import note, requested
from worker.rotation.claims import Owner
from worker.rotation.evidence.keys import lives
from worker.rotation.evidence.report import Completeness, Period, report
from worker.rotation.reconcile import accept
from worker.rotation.record import Phase, Record, Request, decode, encode
from worker.targets.target import Target

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


def renamed(small: Small, old: str, new: str) -> None:
    """A person gives the target another name in the configuration, and says so; its key is replaced a day later."""
    now = small.clock.now()
    move(small.store, small.store.load(old, TARGET.path), small.store.load(new, TARGET.path), now)
    target = replace(TARGET, name=new)
    small.targets = {new: target}
    rotate(small, target)


def rotate(small: Small, target: Target) -> None:
    small.passes(days=1)
    accept(small.services, target, request(f"at {small.clock.now()}", small.clock.now()))
    small.look(target)


@pytest.mark.parametrize("names", [["films"], ["films", "media"], ["films", "media", "films"], ["films", "archive"]])
@pytest.mark.parametrize("rotations", [1, 30], ids=["short", "archived"])
def test_a_report_tells_each_key_and_rotation_once(names: list[str], rotations: int) -> None:
    small = Small()
    small.look()
    for _ in range(rotations):
        rotate(small, TARGET)
    for old, new in pairwise([TARGET.name, *names]):
        renamed(small, old, new)
    made = small.hostup.made
    assert len(made) == 1 + rotations + len(names)
    found = histories(small.store, small.targets, MINUTE)
    assert [each.name for each in found] == [names[-1]]
    bodies = [str({**entry.body(), "n": 0}) for entry in found[0].entries]
    assert len(set(bodies)) == len(bodies)
    told = report(found, Period(NOW - DAY, NOW + 999 * DAY), Completeness(NOW, 1, 1, 0, 0), NOW + 999 * DAY)
    assert [key.access_key for key in told.all_keys()] == made
    assert [each.access_key for each in told.all_rotations()] == made
    record = small.record(names[-1])
    assert record.current
    assert record.current.access_key == made[-1]


def test_a_target_that_begins_anew_under_a_name_that_was_given_up_is_told_of() -> None:
    small = Small()
    small.look()
    renamed(small, "media", "films")
    elsewhere = replace(TARGET, path="apps/elsewhere")
    moved = replace(small.record("media"), path=elsewhere.path)
    small.put(moved)
    small.targets["media"] = elsewhere
    small.look(elsewhere)
    keys = {each.name: lives(each.name, each.entries, {}) for each in histories(small.store, small.targets, MINUTE)}
    assert {name: [key.access_key for key in known] for name, known in keys.items()} == {
        "films": ["AK1", "AK2"],
        "media": ["AK3"],
    }
