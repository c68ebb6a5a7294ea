"""How a record changes, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.records import (
    DAY,
    HOLDER,
    MINUTE,
    NOW,
    create,
    created,
    current,
    empty,
    request,
    retiring,
    rotation,
    staged,
)
from worker.errors import (
    HostUpCall,
    HostUpUncertain,
    RecordUnreadable,
    RotatorError,
    Superseded,
    TryAgainLater,
    UsageError,
)
from worker.rotation.changes import creates, retirement, settlement
from worker.rotation.changes import rotation as transitions
from worker.rotation.changes.creates import CreateOutcome
from worker.rotation.changes.rotation import Holder
from worker.rotation.ports import DeletedKey, Life, Probe
from worker.rotation.record import Phase, Record, Why, decode, encode

IDLE = replace(empty(), current=current())
OTHER = Holder("rotation-1", "another token")
UNCERTAIN = HostUpUncertain("no answer", HostUpCall("create_key"), request_id="request-5")


def events(record: Record) -> list[str]:
    return [entry.event for entry in record.history.entries()]


def test_what_was_wrong_with_the_answer_is_in_the_history() -> None:
    record = transitions.begun(IDLE, rotation(), IDLE)
    salvaged = replace(created(), salvaged=("text before the JSON", "a trailing comma"))
    entry = transitions.staged(record, HOLDER, salvaged, NOW, MINUTE).history.entries()[-1]
    assert (entry.event, entry.facts) == ("key.created", {"salvaged": ["text before the JSON", "a trailing comma"]})
    entry = transitions.staged(record, HOLDER, created(), NOW, MINUTE).history.entries()[-1]
    assert (entry.event, entry.facts) == ("key.created", {})


def test_a_rotation_from_beginning_to_end_wipes_the_secret_and_retires_the_old_key() -> None:
    record = transitions.begun(replace(IDLE, requests=(request(),)), rotation(), IDLE)
    record = transitions.staged(record, HOLDER, created(), NOW, MINUTE)
    assert "s3cr3t-canary" in json.dumps(encode(record))
    record = transitions.verified(record, "rotation-1", NOW)
    record = transitions.published(record, "rotation-1", 2, NOW, transitions.Grace(DAY))
    assert record.phase is Phase.IDLE
    assert record.current is not None
    assert (record.current.access_key, record.current.vault_version) == ("AK1", 2)
    assert [(k.access_key, k.retire_after, k.vault_version) for k in record.retiring] == [("AK0", NOW + DAY, 1)]
    assert record.served == (("message-1", "rotation-1"),)
    assert record.requests == ()
    assert "s3cr3t-canary" not in json.dumps(encode(record))
    assert events(record) == [
        "rotation.started",
        "key.created",
        "key.verified",
        "secret.published",
        "rotation.succeeded",
    ]


def test_every_step_survives_being_written_and_read() -> None:
    record = transitions.begun(IDLE, rotation(), IDLE)
    seen = [record]
    seen.append(transitions.staged(seen[-1], HOLDER, created(), NOW, MINUTE))
    seen.append(transitions.verified(seen[-1], "rotation-1", NOW))
    seen.append(transitions.published(seen[-1], "rotation-1", 2, NOW, transitions.Grace(DAY)))
    for record in seen:
        assert decode(encode(record), "media") == replace(record, history=record.history.written())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("published_at", 1_700_000_000),
        ("published_at", "1700000000"),
        ("published_at", "2026-11-24T12:00:00"),
        ("vault_version", "1"),
        ("vault_version", True),
        ("access_key", 5),
        ("label", b"bytes"),
        # at the calendar's very ends, where no sum and no other zone can be worked out
        ("published_at", "9999-12-31T23:59:59+00:00"),
        ("created_at", "0001-01-01T00:00:00+23:59"),
        ("created_at", "1969-12-31T00:00:00Z"),
    ],
)
def test_a_value_that_only_looks_right_is_refused(name: str, value: object) -> None:
    document = encode(IDLE)
    document["current"][name] = value
    with pytest.raises(RecordUnreadable, match=f"current.{name}"):
        decode(document, "media")


def test_what_is_wrong_with_a_record_is_told_without_what_stands_in_it() -> None:
    """Found by the fuzz: names of fields moved the cursor, and pydantic's error, kept as context, held the secret."""
    document = encode(replace(IDLE, rotation=rotation(Phase.STAGED)))
    document["rotation"]["\x9b31m\u202e" + "x" * 500] = 1
    with pytest.raises(RecordUnreadable) as caught:
        decode(document, "media")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    assert caught.value.__context__ is None


def test_a_second_intent_is_refused() -> None:
    with pytest.raises(Superseded):
        transitions.begun(replace(IDLE, rotation=rotation()), replace(rotation(), id="rotation-2"), IDLE)


@pytest.mark.parametrize(
    "record",
    [
        replace(IDLE, current=current("AK1", 2)),
        replace(IDLE, unconfirmed_creates=(create(),)),
        transitions.failed(IDLE, RotatorError("no"), NOW, NOW + MINUTE, operation="create"),
    ],
    ids=["published", "create unconfirmed", "failed"],
)
def test_no_rotation_begins_after_another_came_and_went(record: Record) -> None:
    with pytest.raises(Superseded):
        transitions.begun(record, rotation(), IDLE)


def test_wishes_and_retirements_that_come_meanwhile_do_not_hinder_a_rotation() -> None:
    record = replace(IDLE, requests=(request(),), retiring=(retiring(),))
    assert transitions.begun(record, rotation(), IDLE).phase is Phase.CREATING


def test_an_intent_that_is_there_already_changes_nothing() -> None:
    record = replace(IDLE, rotation=rotation())
    assert transitions.begun(record, rotation(), IDLE) is record


@pytest.mark.parametrize(
    "record",
    [
        IDLE,
        replace(IDLE, rotation=replace(rotation(), id="rotation-2")),
        replace(IDLE, rotation=rotation(Phase.STAGED, staged("AK2"))),
        replace(IDLE, rotation=replace(rotation(), lease=replace(rotation().lease, holder="another token"))),
    ],
    ids=["given up", "another rotation", "staged by another", "taken over"],
)
def test_a_key_that_comes_late_is_retired_and_nothing_else_changes(record: Record) -> None:
    after = transitions.staged(record, HOLDER, created("AK5"), NOW, MINUTE)
    assert after.rotation == record.rotation
    assert after.current == record.current
    assert [(k.access_key, k.why, k.retire_after) for k in after.retiring] == [("AK5", Why.STRAY, NOW)]
    assert "s3cr3t-canary" not in json.dumps(encode(replace(after, rotation=None)))


def test_a_late_key_settles_its_unconfirmed_create() -> None:
    record = replace(
        IDLE, unconfirmed_creates=(create(4, rotation_id="rotation-1"), create(4, rotation_id="rotation-8"))
    )
    after = transitions.staged(record, HOLDER, created("AK5"), NOW, MINUTE)
    assert [m.open for m in after.unconfirmed_creates] == [False, True]


def test_a_key_on_record_is_not_recorded_twice() -> None:
    record = replace(IDLE, rotation=rotation(Phase.STAGED))
    assert transitions.staged(record, HOLDER, created(), NOW, MINUTE) is record


def test_a_verified_key_is_never_given_up() -> None:
    record = replace(IDLE, rotation=rotation(Phase.VERIFIED))
    with pytest.raises(Superseded):
        transitions.refused(record, "rotation-1", RotatorError("refused"), NOW, NOW + MINUTE)


def test_a_refused_key_is_retired() -> None:
    record = replace(IDLE, rotation=rotation(Phase.STAGED))
    after = transitions.refused(record, "rotation-1", RotatorError("refused"), NOW, NOW + MINUTE)
    assert after.phase is Phase.FAILED
    assert [(k.access_key, k.why) for k in after.retiring] == [("AK1", Why.REFUSED)]
    assert after.current == record.current


def test_publishing_needs_the_rotation_that_is_under_way() -> None:
    for record in (IDLE, replace(IDLE, rotation=replace(rotation(Phase.VERIFIED), id="rotation-2"))):
        with pytest.raises(Superseded):
            transitions.published(record, "rotation-1", 2, NOW, transitions.Grace(DAY))


def test_an_unconfirmed_create_keeps_all_that_is_known() -> None:
    record = replace(IDLE, rotation=rotation())
    after = creates.create_unconfirmed(record, HOLDER, CreateOutcome(UNCERTAIN, 4), NOW, NOW + MINUTE)
    [known] = after.unconfirmed_creates
    assert (known.rotation_id, known.label, known.request_id) == ("rotation-1", "media rotation-1", "request-5")
    assert (known.key_count_before, known.key_count_after, known.open) == (3, 4, True)
    assert after.rotation is None
    assert after.failure is not None
    assert after.failure.retry_at == NOW + MINUTE


def test_a_create_whose_key_was_named_is_not_unknown() -> None:
    record = replace(IDLE, rotation=rotation())
    after = creates.create_unconfirmed(record, HOLDER, CreateOutcome(UNCERTAIN, 4, "AK6"), NOW, NOW + MINUTE)
    assert after.unconfirmed_creates == ()
    assert [(k.access_key, k.why) for k in after.retiring] == [("AK6", Why.UNUSABLE)]


def test_a_create_naming_a_living_key_never_retires_that_key() -> None:
    record = replace(IDLE, rotation=rotation())
    after = creates.create_unconfirmed(record, HOLDER, CreateOutcome(UNCERTAIN, 4, "AK0"), NOW, NOW + MINUTE)
    assert after.retiring == ()
    assert len(after.unconfirmed_creates) == 1


LATE = replace(IDLE, unconfirmed_creates=(create(4, rotation_id=HOLDER.rotation_id),))
"""Another worker took over, and recorded all that it knew."""


def test_a_key_that_is_named_late_is_retired_and_settles_its_create() -> None:
    outcome = CreateOutcome(UNCERTAIN, 4, "AK6")
    after = creates.create_unconfirmed(LATE, HOLDER, outcome, NOW, NOW + MINUTE)
    assert [(key.access_key, key.why, key.request_id) for key in after.retiring] == [("AK6", Why.UNUSABLE, "request-5")]
    assert [each.settled for each in after.unconfirmed_creates] == ["the key came late: AK6, to be retired"]
    assert (after.current, after.failure) == (LATE.current, LATE.failure)
    assert creates.create_unconfirmed(after, HOLDER, outcome, NOW, NOW + MINUTE) is after


def test_a_living_key_that_is_named_late_is_not_retired() -> None:
    outcome = CreateOutcome(UNCERTAIN, 4, "AK0")
    assert creates.create_unconfirmed(LATE, HOLDER, outcome, NOW, NOW + MINUTE) is LATE


def test_a_request_id_that_comes_late_is_kept() -> None:
    after = creates.create_unconfirmed(LATE, HOLDER, CreateOutcome(UNCERTAIN, 4), NOW, NOW + MINUTE)
    [known] = after.unconfirmed_creates
    assert (known.request_id, known.error, known.open) == ("request-5", "no answer", True)
    assert after.history.entries()[-1].request_id == "request-5"


@pytest.mark.parametrize("why", [HostUpUncertain("no answer", HostUpCall("create_key")), UNCERTAIN])
def test_what_comes_late_and_tells_nothing_changes_nothing(why: HostUpUncertain) -> None:
    known = replace(LATE.unconfirmed_creates[0], request_id="request-5")
    for record in (replace(LATE, unconfirmed_creates=(known,)), IDLE):
        with pytest.raises(Superseded):
            creates.create_unconfirmed(record, HOLDER, CreateOutcome(why, 4), NOW, NOW + MINUTE)


@pytest.mark.parametrize("change", [creates.create_unconfirmed, transitions.nothing_made], ids=lambda c: c.__name__)
def test_only_the_holder_ends_a_create(change: object) -> None:
    record = replace(IDLE, rotation=rotation())
    why = CreateOutcome(UNCERTAIN, 4) if change is creates.create_unconfirmed else UNCERTAIN
    with pytest.raises(Superseded):
        change(record, OTHER, why, NOW, NOW + MINUTE)  # type: ignore[operator]  # both take these five


@pytest.mark.parametrize(("known", "count", "after"), [(None, 3, 3), (None, None, None), (5, 3, 5)])
def test_a_later_count_fills_in_what_was_not_known_and_settles_nothing(
    known: int | None, count: int | None, after: int | None
) -> None:
    [looked_at] = creates.recounted(replace(IDLE, unconfirmed_creates=(create(known),)), count).unconfirmed_creates
    assert (looked_at.key_count_after, looked_at.open) == (after, True)


def test_an_audit_that_explains_every_key_settles_old_mints_only() -> None:
    record = replace(IDLE, unconfirmed_creates=(create(4, 5 * MINUTE, "old"), create(4, MINUTE, "new")))
    after = creates.explained(record, NOW - 2 * MINUTE, NOW)
    assert [(m.rotation_id, m.open) for m in after.unconfirmed_creates] == [("old", False), ("new", True)]
    assert creates.explained(IDLE, NOW, NOW) is IDLE


def test_a_request_counts_once() -> None:
    record = transitions.requested(IDLE, request())
    assert transitions.requested(record, request()) is record
    served = replace(record, requests=(), served=(("message-1", "rotation-1"),))
    assert transitions.requested(served, request()) is served


def test_too_many_requests_are_refused_politely() -> None:
    record = IDLE
    for number in range(transitions.WAITING_REQUESTS):
        record = transitions.requested(record, request(f"message-{number}"))
    with pytest.raises(TryAgainLater):
        transitions.requested(record, request("one more"))


def test_the_same_failure_again_only_counts() -> None:
    record = IDLE
    for _ in range(500):
        record = transitions.failed(record, RotatorError("no"), NOW, NOW + MINUTE, operation="begin")
    assert record.failure is not None
    assert record.failure.count == 500
    assert events(record) == ["rotation.failed"]


def test_a_key_leaves_only_by_deletion_and_proof() -> None:
    record = replace(IDLE, retiring=(retiring("A"), retiring("B")))
    record = retirement.deleted(record, "A", DeletedKey(200, "request-d", "base64"), NOW)
    assert [k.state for k in record.retiring] == ["deleted", "waiting"]
    record = retirement.dead(record, "A", Probe(Life.DEAD, 403, "InvalidAccessKeyId", "tx1"), NOW)
    assert [k.access_key for k in record.retiring] == ["B"]
    assert events(record) == ["key.retired", "key.dead"]
    with pytest.raises(Superseded):
        retirement.dead(record, "A", Probe(Life.DEAD, 403, "InvalidAccessKeyId", "tx1"), NOW)


@pytest.mark.parametrize(("done", "gone"), [(200, 404), (202, 404), (204, 410)])
def test_a_delete_that_is_told_late_is_still_told_and_once(done: int, gone: int) -> None:
    late = DeletedKey(done, "request-d", "base64")
    record = retirement.deleted(IDLE, "A", late, NOW)
    assert events(record) == ["key.retired"]
    assert record.history.entries()[0].request_id == "request-d"
    assert retirement.deleted(record, "A", late, NOW) is record
    with pytest.raises(Superseded):
        retirement.deleted(record, "A", DeletedKey(gone, "request-e", "base64"), NOW)


def test_a_delete_of_another_key_whose_name_is_longer_is_not_taken_for_this_one() -> None:
    deleted_once = retirement.deleted(IDLE, "AK10", DeletedKey(200, "request-10", "base64"), NOW)
    record = retirement.deleted(deleted_once, "AK1", DeletedKey(200, "request-1", "base64"), NOW)
    record = retirement.deleted(record, "AK1", DeletedKey(200, "request-10", "base64"), NOW)
    found = [(entry.access_key, entry.request_id) for entry in record.history.entries()]
    assert found == [("AK10", "request-10"), ("AK1", "request-1"), ("AK1", "request-10")]


def test_two_deletes_that_are_answered_with_the_same_request_id_are_two() -> None:
    record = replace(IDLE, retiring=(retiring("A"), retiring("B")))
    for key in ("A", "B"):
        record = retirement.deleted(record, key, DeletedKey(404, "the gateway's only id", "base64"), NOW)
    assert [k.state for k in record.retiring] == ["deleted", "deleted"]
    assert retirement.deleted(record, "A", DeletedKey(404, "the gateway's only id", "base64"), NOW) is record


def test_a_delete_that_may_have_worked_is_found_by_each_request_id() -> None:
    record = replace(IDLE, retiring=(retiring("A"),))
    for name in ("request-1", "request-2", None):
        why = HostUpUncertain("answered 500", HostUpCall("delete_key", 500), request_id=name)
        record = retirement.delete_failed(record, "A", why, NOW, NOW)
    assert [entry.request_id for entry in record.history.entries()] == ["request-1", "request-2"]
    assert record.retiring[0].attempts == 3


def test_an_overdue_key_is_told_once_and_kept() -> None:
    record = replace(IDLE, retiring=(retiring("A", deleted=True),))
    for _ in range(3):
        record = retirement.still_alive(record, "A", NOW + MINUTE, overdue=True, now=NOW)
    assert events(record) == ["key.overdue"]
    assert record.retiring[0].state == "overdue"


FOUND = settlement.Found("AK7", 5, "by hand", None, None)


def test_an_adopted_key_is_current_and_the_old_one_retires() -> None:
    after = settlement.adopted_key(replace(IDLE, rotation=rotation(Phase.VERIFIED)), FOUND, NOW, DAY)
    assert after.current is not None
    assert (after.current.access_key, after.current.vault_version) == ("AK7", 5)
    assert [k.access_key for k in after.retiring] == ["AK0"]
    assert after.rotation is not None
    assert after.rotation.expected_version == 5
    assert after.adopted == 1


def test_the_same_key_in_a_newer_version_is_no_foreign_key() -> None:
    after = settlement.adopted_key(IDLE, replace(FOUND, access_key="AK0"), NOW, DAY)
    assert after.current is not None
    assert (after.current.vault_version, after.retiring, after.adopted) == (5, (), 0)


def test_a_key_on_its_way_out_is_not_adopted() -> None:
    with pytest.raises(UsageError):
        settlement.adopted_key(replace(IDLE, retiring=(retiring("AK7"),)), FOUND, NOW, DAY)


def test_settling_by_naming_a_key_retires_that_key_only() -> None:
    record = replace(IDLE, unconfirmed_creates=(create(4),))
    after = settlement.settled_create(record, "rotation-7", settlement.Settlement("found it", revoke="AK8"), NOW)
    assert [k.access_key for k in after.retiring] == ["AK8"]
    assert not any(m.open for m in after.unconfirmed_creates)


@pytest.mark.parametrize(("rotation_id", "revoke"), [("rotation-7", "AK0"), ("unheard of", None)])
def test_settling_refuses_a_key_in_use_and_an_unknown_rotation(rotation_id: str, revoke: str | None) -> None:
    record = replace(IDLE, unconfirmed_creates=(create(4),))
    with pytest.raises(UsageError):
        settlement.settled_create(record, rotation_id, settlement.Settlement("x", revoke=revoke), NOW)


def test_a_renewed_lease_is_still_ours_only() -> None:
    record = replace(IDLE, rotation=rotation())
    later = NOW + timedelta(hours=1)
    renewed = transitions.renewed(record, HOLDER, later)
    assert renewed.rotation is not None
    assert renewed.rotation.lease.until == later
    with pytest.raises(Superseded):
        transitions.renewed(record, OTHER, later)
