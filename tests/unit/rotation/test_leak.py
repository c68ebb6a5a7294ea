"""Leak mode: a new key, and the old ones deleted without grace; what it overrides, and what it never does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.doubles import MemoryClock, MemoryHostUp
from tests.records import DAY, MINUTE, NOW, SECOND, current, empty, request, retiring, rotation, staged
from tests.worlds import TARGET, Small
from worker.errors import HostUpCall, HostUpRefused, RecordUnreadable, TryAgainLater, UsageError
from worker.rotation.changes import rotation as changes
from worker.rotation.changes.leak import revocation
from worker.rotation.changes.removal import Ending, ended
from worker.rotation.decide import RETIRING_LIMIT, Begin, Delete, Revoke, decide
from worker.rotation.findings import of_targets
from worker.rotation.ports import CreatedKey, DeletedKey
from worker.rotation.reconcile import accept
from worker.rotation.record import Phase, Why, decode, encode
from worker.rotation.survey import Survey

LEAKED = replace(request("leak"), leaked=True)


@pytest.fixture
def small() -> Small:
    """A target with a current key, one in its grace, and somebody else's key."""
    made = Small()
    made.hostup.living["BY-HAND"] = ""
    made.look()
    accept(made.services, TARGET, request("first", made.clock.now()))
    made.look()
    assert made.hostup.living.keys() == {"BY-HAND", "AK1", "AK2"}
    return made


def leaks(small: Small) -> None:
    accept(small.services, TARGET, replace(LEAKED, at=small.clock.now()), "alice@desk")


def test_the_old_keys_are_dead_at_once(small: Small) -> None:
    leaks(small)
    small.look()
    record = small.record()
    assert small.hostup.living.keys() == {"BY-HAND", "AK3"}
    assert small.hostup.deleted[0] == "AK2", "the one that leaked goes first"
    assert record.retiring == ()
    assert record.served[-1][0] == "leak"
    ended = {entry.access_key for entry in record.history.entries() if entry.event == "grace.ended"}
    assert ended == {"AK1", "AK2"}
    (started,) = [e for e in record.history.entries() if e.event == "rotation.started" and e.facts["trigger"] == "leak"]
    assert started.facts["by"] == "alice@desk"


def test_a_clock_that_is_behind_does_not_delay_it(small: Small) -> None:
    object.__setattr__(small.services, "machine", MemoryClock(small.clock.now() - DAY))
    leaks(small)
    small.look()
    assert small.hostup.living.keys() == {"BY-HAND", "AK3"}


def test_it_joins_a_rotation_under_way_which_then_gives_no_grace() -> None:
    record = replace(
        empty(), current=current(), rotation=rotation(Phase.VERIFIED, staged()), requests=(request("other"), LEAKED)
    )
    after = changes.published(record, "rotation-1", 2, NOW, changes.Grace(DAY, -SECOND))
    assert [key.retire_after for key in after.retiring] == [NOW - SECOND]
    assert not after.leaked


def test_without_a_leak_grace_is_as_it_was() -> None:
    record = replace(empty(), current=current(), rotation=rotation(Phase.VERIFIED, staged()), requests=(request(),))
    after = changes.published(record, "rotation-1", 2, NOW, changes.Grace(DAY, -SECOND))
    assert [key.retire_after for key in after.retiring] == [NOW + DAY]


def test_full_places_do_not_hold_it_and_it_goes_before_deletes() -> None:
    keys = tuple(retiring(f"AK{number}") for number in range(10, 10 + RETIRING_LIMIT))
    record = replace(empty(), current=current(), retiring=keys)
    assert isinstance(decide(replace(record, requests=(LEAKED,)), NOW, NOW, {}), Begin)
    assert isinstance(decide(replace(record, requests=(request(),)), NOW, NOW, {}), Delete)
    in_grace = tuple(replace(key, retire_after=NOW + DAY, next_look_at=NOW + DAY) for key in keys)
    waiting = replace(record, retiring=in_grace, requests=(LEAKED,), rotation=rotation(Phase.VERIFIED, staged()))
    after = changes.published(waiting, "rotation-1", 2, NOW, changes.Grace(DAY))
    assert {key.retire_after for key in after.retiring} == {NOW}


def test_many_requests_do_not_keep_it_out() -> None:
    record = empty()
    for number in range(changes.WAITING_REQUESTS):
        record = changes.requested(record, request(str(number)))
    with pytest.raises(TryAgainLater):
        changes.requested(record, request("one more"))
    assert changes.requested(record, LEAKED).leaked


def no_keys(small: Small) -> None:
    def refuse(label: str) -> CreatedKey:
        raise HostUpRefused(f"no more keys for {label}", HostUpCall("create_key", 422), hint="Ask.")

    small.hostup.create_key = refuse  # type: ignore[method-assign]  # a HostUp that makes no keys


def test_without_a_new_key_the_old_one_stays(small: Small) -> None:
    no_keys(small)
    leaks(small)
    for _ in range(5):
        small.look()
        small.passes(hours=2)
    assert "AK2" in small.hostup.living
    assert small.record().leaked


def test_by_a_persons_word_it_is_deleted_all_the_same_and_replaced_later(small: Small) -> None:
    create = small.hostup.create_key
    no_keys(small)
    leaks(small)
    small.look()
    revoke(small, "AK2")
    small.look()
    record = small.record()
    assert "AK2" not in small.hostup.living
    assert record.current
    assert (record.revoking, record.current.access_key) == ("", "AK2")
    assert record.trouble
    assert record.trouble.killed("AK2")
    events = [(entry.event, entry.access_key) for entry in record.history.entries()]
    own = [event for event, access_key in events if access_key == "AK2"]
    assert own[-3:] == ["key.revoked", "key.retired", "key.dead"]
    assert "AK1" not in small.hostup.living, "the warning names what is in its grace, too"
    assert ("grace.ended", "AK1") in events
    small.hostup.create_key = create  # type: ignore[method-assign]  # it makes keys again
    small.passes(hours=2)
    small.look()
    record = small.record()
    assert record.current
    assert record.current.access_key == "AK3"
    assert small.hostup.deleted.count("AK2") == 1
    assert "AK2" not in set(record.keys_on_record()), "its death was proven"


def lives_on(small: Small, access_key: str) -> None:
    """HostUp confirms every delete of this key, and it works all the same."""
    delete = small.hostup.delete_key

    def confirm(name: str, form: str = "base64") -> DeletedKey:
        small.hostup.asked_to_delete.append(name)
        return DeletedKey(200, f"delete-of-{name}", form) if name == access_key else delete(name, form)

    small.hostup.delete_key = confirm  # type: ignore[method-assign,assignment]  # a HostUp that does not keep its word


def revoked_and_alive() -> Small:
    """A target whose current key was revoked, and lives on; no new one can be made."""
    small = Small()
    small.hostup.living["BY-HAND"] = ""
    small.look()
    no_keys(small)
    leaks(small)
    lives_on(small, "AK1")
    revoke(small, "AK1")
    small.look()
    return small


def looks(small: Small, *, hours: int) -> None:
    for _ in range(hours):
        small.passes(hours=1)
        small.look(watching=True)


def test_a_revoked_key_that_lives_on_is_no_recovery_and_is_deleted_again() -> None:
    small = revoked_and_alive()
    first = small.record().revoked
    assert first
    assert first.undiminished == 2, "HostUp counted no fewer keys after the first delete"
    looks(small, hours=6)
    record = small.record()
    events = [entry.event for entry in record.history.entries() if entry.access_key == "AK1"]
    assert {"key.uncounted", "key.overdue"} <= set(events)
    assert "key.dead" not in events
    assert "target.recovered" not in events
    assert small.hostup.asked_to_delete.count("AK1") > 1
    assert record.revoked
    assert record.trouble
    found = of_targets(Survey({TARGET.name: record}, {}), small.targets, small.clock.now(), MINUTE)
    assert "alive" in [finding.kind for finding in found]


def test_a_revoked_key_that_lives_on_is_proven_dead_after_it_was_replaced() -> None:
    small = revoked_and_alive()
    create = MemoryHostUp.create_key.__get__(small.hostup)
    small.hostup.create_key = create  # type: ignore[method-assign]  # it makes keys again
    looks(small, hours=2)
    record = small.record()
    assert record.current
    assert (record.current.access_key, record.revoked) == ("AK2", None)
    (key,) = record.retiring
    assert (key.access_key, key.why, key.delete_request_id) == ("AK1", Why.DIED, "delete-of-AK1")
    del small.hostup.living["AK1"]
    looks(small, hours=30)
    record = small.record()
    assert record.retiring == ()
    assert "AK1" in {entry.access_key for entry in record.history.entries() if entry.event == "key.dead"}


def test_the_record_says_which_key_was_revoked_and_of_no_other() -> None:
    small = revoked_and_alive()
    record = small.record()
    assert decode(encode(record), TARGET.name) == record
    assert record.was_killed("AK1")
    assert not record.was_killed("BY-HAND")
    wrong = encode(record)
    wrong["revoked"]["access_key"] = "AK9"
    with pytest.raises(RecordUnreadable, match="another key was revoked"):
        decode(wrong, TARGET.name)


def test_a_revoked_key_goes_on_dying_after_its_target_was_removed() -> None:
    record = revoked_and_alive().record()
    for revoke_it in (True, False):
        left = ended(record, Ending(revoke_it, frozenset(), "AK1"), NOW)
        assert [(key.access_key, key.why) for key in left.retiring] == [("AK1", Why.REVOKED)]
        assert (left.revoked, left.released) == (None, 0)


def revoke(small: Small, access_key: str) -> None:
    now = small.clock.now()
    loaded = small.store.load(TARGET.name, TARGET.path)
    small.store.change(loaded, lambda record: revocation(record, access_key, "alice", now))


def test_what_cannot_be_revoked_is_refused() -> None:
    record = replace(empty(), current=current())
    assert revocation(record, "AK0", "alice", NOW).revoking == "AK0"
    dead = revoked_and_alive().record()
    assert revocation(dead, "AK1", "alice", NOW) is dead, "it is not deleted once more for being asked again"
    with pytest.raises(UsageError, match="not current any more"):
        revocation(record, "AK1", "alice", NOW)
    with pytest.raises(UsageError, match="set back"):
        revocation(replace(record, deletes_held=True), "AK0", "alice", NOW)
    with pytest.raises(TryAgainLater, match="only waits to be published"):
        revocation(replace(record, rotation=rotation(Phase.STAGED)), "AK0", "alice", NOW)


def test_a_revocation_waits_where_vault_was_set_back_and_after_a_pause_of_its_own() -> None:
    record = replace(empty(), current=current(), revoking="AK0")
    later = NOW + DAY
    assert decide(record, later, NOW, {}) == Revoke("AK0")
    assert decide(replace(record, deletes_held=True), later, NOW, {}) != Revoke("AK0")
    assert decide(record, later, NOW, {"AK0": NOW + MINUTE}) != Revoke("AK0")
    after = changes.published(
        replace(record, rotation=rotation(Phase.VERIFIED, staged())), "rotation-1", 2, NOW, changes.Grace(DAY)
    )
    assert after.revoking == "", "another key is current by now"


def test_who_asked_is_bounded_printable_and_only_in_the_history() -> None:
    """A worker of the release before goes on reading a record that somebody asked for."""
    record = changes.requested(empty(), request(), "mallory\n\x1b[2J" + "y" * 500)
    (entry,) = record.history.entries()
    kept = str(entry.facts["by"])
    assert (len(kept), kept.isprintable()) == (100, True)
    assert encode(record)["requests"] == [{"id": "message-1", "reason": "because", "at": "2026-11-24T12:00:00Z"}]
    assert changes.asked_by(record, "manual") == kept
    assert changes.asked_by(record, "schedule") == changes.asked_by(record, "leak") == ""
