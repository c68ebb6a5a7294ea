"""A record that cannot be read is made anew from what can be believed, and no key is touched because of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.records import DAY, HOLDER, MINUTE, NOW, create, created, current, empty, request, retiring, rotation
from worker.errors import RecordUnreadable
from worker.events import Event
from worker.rotation.changes.repair import LooseKey, RepairEvidence, loose_keys, rebuild, retired
from worker.rotation.changes.rotation import note, staged
from worker.rotation.changes.settlement import Found
from worker.rotation.history import Entry, History
from worker.rotation.record import Paused, Phase, Record, Why, decode, encode

FOUND = Found(access_key="AK0", version=1, label="media rotation-0", request_id="request-0", rotation_id="rotation-0")
FOUND_AT = NOW - DAY


def repaired(document: dict[str, Any], found: Found | None = FOUND, archived: tuple[Entry, ...] = ()) -> Any:
    made = rebuild("media", "apps/media", "it is garbage", RepairEvidence(document, archived, found, FOUND_AT), NOW)
    written = replace(made.record, history=made.record.history.written())
    assert decode(encode(made.record), "media") == written, "what is written can be read again"
    return made


def broken(record: Record, **changes: object) -> dict[str, Any]:
    """The record's document with something in it that makes it unreadable."""
    document = {**encode(record), **(changes or {"hello": "world"})}
    with pytest.raises(RecordUnreadable):
        decode(document, "media")
    return document


def full() -> Record:
    record = note(empty(), Event.KEY_CREATED, NOW, rotation_id="rotation-0", access_key="AK0", request_id="request-0")
    return replace(
        record,
        current=current(),
        requests=(request(),),
        served=(("message-0", "rotation-0"),),
        unconfirmed_creates=(create(),),
        adopted=2,
    )


def test_what_is_still_right_is_kept() -> None:
    before = full()
    after = repaired(broken(before)).record
    assert after.current == before.current
    assert after.requests == before.requests
    assert after.served == before.served
    assert after.unconfirmed_creates == before.unconfirmed_creates
    assert after.adopted == 2
    *kept, last = after.history.entries()
    assert tuple(kept) == before.history.written().entries()
    assert last.event == Event.RECORD_REPAIRED
    assert after.phase is Phase.IDLE


def test_one_wrong_item_does_not_take_the_others_along() -> None:
    document = encode(full())
    document["requests"].append({"id": 7})
    document["unconfirmed_creates"].insert(0, "garbage")
    document["history"] += ["garbage", 7]
    made = repaired(document)
    assert [request.id for request in made.record.requests] == ["message-1"]
    assert len(made.record.unconfirmed_creates) == 1
    assert made.dropped == ("1 of requests", "1 of unconfirmed_creates", "2 of history")


def wished() -> Record:
    """A record with all that a person may want of a target."""
    return replace(
        full(),
        paused=Paused(at=NOW, by="alice", reason="moving", until=NOW + DAY),
        next_at=NOW + 2 * DAY,
        deletes_held=True,
    )


def test_what_a_person_wanted_is_kept() -> None:
    before = wished()
    made = repaired(broken(before))
    for name in ("paused", "next_at", "deletes_held"):
        assert getattr(made.record, name) == getattr(before, name)
    words = ", ".join(made.kept)
    assert "the pause by alice" in words
    assert f"the next rotation at {before.next_at}" in words
    assert "nothing is deleted" in words
    assert made.dropped == ("hello",)


@pytest.mark.parametrize("value", [{"by": "alice"}, "yes", 7, ["x"]])
def test_a_wish_that_cannot_be_read_is_named(value: object) -> None:
    made = repaired(broken(wished(), paused=value, next_at=value, deletes_held=value))
    assert (made.record.paused, made.record.next_at, made.record.deletes_held) == (None, None, True)
    assert made.dropped == ("paused", "next_at")


def test_a_delete_that_a_person_wanted_is_not_believed_of_such_a_document() -> None:
    made = repaired(broken(replace(full(), revoking="AK0")))
    assert made.record.revoking == ""
    assert made.dropped == ("revoking", "hello")


@pytest.mark.parametrize("document", [{"foo": "bar"}, {"schema": "x"}, {"history": {"a": 1}, "requests": "no"}])
def test_of_garbage_only_the_published_key_is_left(document: dict[str, Any]) -> None:
    record = repaired(document).record
    assert record.current is not None
    assert (record.current.access_key, record.current.vault_version) == ("AK0", 1)
    assert record.current.rotation_id == "rotation-0"
    assert record.current.published_at == FOUND_AT
    assert record.path == "apps/media"
    assert not record.retiring
    assert record.rotation is None


@pytest.mark.parametrize("edited", ["three", 1, 99])
def test_a_number_of_a_version_that_was_edited_is_that_of_vault(edited: object) -> None:
    document = broken(full(), hello=1, current={**encode(full())["current"], "vault_version": edited})
    assert repaired(document, replace(FOUND, version=3)).record.current.vault_version == 3


def test_a_secret_that_is_not_known_to_be_ours_is_left_to_a_person() -> None:
    assert repaired({"foo": 1}, replace(FOUND, rotation_id=None)).record.current is None


def test_an_old_version_with_a_dead_key_that_was_put_back_is_left_to_a_person() -> None:
    dead = note(full(), Event.KEY_DEAD, NOW, access_key="AK0")
    assert repaired(broken(replace(dead, current=None))).record.current is None


def test_without_a_secret_the_current_key_stays_as_it_was() -> None:
    assert repaired(broken(full()), None).record.current == current()


def test_a_rotation_that_had_published_is_recognised_by_the_secret() -> None:
    under_way = replace(full(), rotation=rotation(Phase.VERIFIED))
    found = Found(access_key="AK1", version=2, label=None, request_id="request-1", rotation_id="rotation-1")
    made = repaired(broken(under_way), found)
    assert made.record.current.access_key == "AK1"
    assert [key.access_key for key in made.loose] == ["AK0"]


def test_no_key_of_the_document_is_published_or_retired_by_itself() -> None:
    before = replace(full(), rotation=rotation(Phase.STAGED), retiring=(retiring("AK8"), retiring("AK9", deleted=True)))
    made = repaired(broken(before))
    assert set(made.record.keys_on_record()) == {"AK0"}
    assert [(key.access_key, key.where) for key in made.loose] == [
        ("AK1", "rotation.key"),
        ("AK8", "retiring[0]"),
        ("AK9", "retiring[1]"),
    ]
    assert "s3cr3t-canary" not in repr(made)
    assert "s3cr3t-canary" not in json.dumps(encode(made.record))


def test_keys_are_found_at_any_depth_and_by_the_name_of_the_api() -> None:
    document = {"stuff": [{"deep": {"accessKey": "AK5", "request_id": "request-5"}}], "access_key": "", "n": None}
    assert repaired(document).loose == (LooseKey("AK5", "stuff[0].deep", None, "request-5"),)


def test_keys_that_history_shows_to_live_are_found_and_dead_ones_not() -> None:
    record = full()
    for number, key in ((3, "AK3"), (4, "AK4")):
        record = note(
            record, Event.KEY_CREATED, NOW, rotation_id=f"r-{number}", access_key=key, request_id=f"q-{number}"
        )
    record = note(record, Event.ROTATION_SUCCEEDED, NOW, access_key="AK4", previous_access_key="AK2")
    record = note(record, Event.KEY_DEAD, NOW, access_key="AK3")
    archived, kept = record.history.added[:3], History(added=record.history.added[3:])
    made = repaired(broken(replace(record, history=kept)), archived=archived)
    assert made.loose == (LooseKey("AK4", "history", "r-4", "q-4", "default", NOW), LooseKey("AK2", "history"))
    assert made.record.next_entry == record.next_entry + 1


def test_the_numbers_of_entries_go_on_after_the_archive() -> None:
    archived = tuple(Entry(number=number, at=NOW, event="key.verified") for number in (1, 2, 41))
    record = repaired({"foo": 1}, archived=archived).record
    assert [entry.number for entry in record.history.entries()] == [42]


def test_a_create_that_was_under_way_becomes_an_unconfirmed_create() -> None:
    before = replace(full(), rotation=rotation(Phase.CREATING), unconfirmed_creates=())
    document = broken(before, rotation={**encode(before)["rotation"], "lease": "edited"})
    (found,) = repaired(document).record.unconfirmed_creates
    assert (found.rotation_id, found.label, found.at) == ("rotation-1", "media rotation-1", NOW)
    assert found.key_count_before == 3
    assert found.open


def test_a_late_answer_to_it_is_recognised_as_that_of_the_unconfirmed_create() -> None:
    before = replace(full(), rotation=rotation(Phase.CREATING), unconfirmed_creates=())
    record = repaired(broken(before)).record
    record = staged(record, HOLDER, created(), NOW, MINUTE)
    assert [(key.access_key, key.why) for key in record.retiring] == [("AK1", Why.STRAY)]
    assert not any(found.open for found in record.unconfirmed_creates)


def test_a_person_brings_a_key_back_by_name() -> None:
    record = repaired(broken(replace(full(), retiring=(retiring("AK9"),)))).record
    key = LooseKey("AK9", "retiring[0]", "rotation-9", "request-9")
    after = retired(record, key, NOW, NOW + DAY)
    (found,) = after.retiring
    assert (found.access_key, found.why, found.retire_after) == ("AK9", Why.SETTLED, NOW + DAY)
    assert found.request_id == "request-9"
    assert retired(after, key, NOW, NOW + timedelta(days=9)) is after


def test_the_current_key_is_never_retired() -> None:
    record = repaired(broken(full())).record
    assert retired(record, LooseKey("AK0", "history"), NOW, NOW) is record


def test_what_was_rescued_is_loose_until_it_is_on_record() -> None:
    saved = {"why": "garbage", "rotation_id": "rotation-5", "access_key": "AK5", "request_id": "request-5"}
    (key,) = loose_keys(saved, [], full())
    assert key == LooseKey("AK5", "", "rotation-5", "request-5")
    assert loose_keys(saved, [], retired(full(), key, NOW, NOW)) == ()
