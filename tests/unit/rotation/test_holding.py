"""Pauses, freezes, targets that are rotated only when asked for, and a next rotation that a person sets."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.records import DAY, MINUTE, NOW, SECOND, current, empty, request, retiring
from tests.worlds import TARGET, Small
from worker.errors import UsageError
from worker.rotation.changes.holding import paused, rescheduled, resumed
from worker.rotation.decide import UNASKED, Begin, Delete, Wait, decide
from worker.rotation.findings import of_targets
from worker.rotation.reconcile import accept
from worker.rotation.record import Paused, Record, Trouble, TroubleKind, decode, encode
from worker.rotation.status import due_at, outlook, summary_of
from worker.rotation.survey import Survey
from worker.targets.freeze import Freeze, thawed
from worker.targets.schedule import NEVER, Schedule
from worker.targets.target import Target

HOUR = timedelta(hours=1)
PAUSE = Paused(at=NOW, by="alice@desk", reason="moving", until=NOW + HOUR)
FREEZE = Freeze(NOW - MINUTE, NOW + DAY, "Black Friday")
DEAD = Trouble(kind=TroubleKind.KEY_REFUSED, access_key="AK0", since=NOW, what="it is refused", confirmed=True)
OLD = {"request": {"id", "reason", "at"}, "record": {"paused", "next_at", "revoking"}}


def with_key(**changes: object) -> Record:
    return replace(empty(), current=current(), **changes)  # type: ignore[arg-type]  # a test names fields that exist


def test_a_pause_holds_back_what_is_due_asked_for_or_dead() -> None:
    for record in (with_key(), with_key(requests=(request(),)), with_key(trouble=DEAD)):
        assert isinstance(decide(record, NOW, NOW, {}), Begin)
        step = decide(paused(record, PAUSE), NOW, NOW, {})
        assert isinstance(step, Wait)
        assert (step.until, "alice@desk" in step.why, "moving" in step.why) == (NOW + HOUR, True, True)


def test_a_pause_ends_by_itself_or_by_a_person() -> None:
    record = paused(with_key(), PAUSE)
    assert isinstance(decide(record, NOW, NOW + HOUR - SECOND, {}), Wait)
    assert isinstance(decide(record, NOW, NOW + HOUR, {}), Begin)
    assert isinstance(decide(resumed(record, "bob", NOW), NOW, NOW, {}), Begin)
    open_end = paused(with_key(), replace(PAUSE, until=None))
    step = decide(open_end, NOW, NOW + 300 * DAY, {})
    assert isinstance(step, Wait)
    assert "rotator resume media" in step.why


def test_a_pause_lets_deletes_and_a_leak_through() -> None:
    record = paused(with_key(retiring=(retiring(),)), PAUSE)
    assert decide(record, NOW, NOW, {}) == Delete("AK9")
    leaked = replace(record, requests=(replace(request(), leaked=True),))
    assert decide(leaked, NOW, NOW, {}) == Begin("leak", "because")


def test_a_pause_is_noted_once_and_what_cannot_be_is_refused() -> None:
    record = paused(with_key(), PAUSE)
    assert paused(record, replace(PAUSE, at=NOW + MINUTE)) is record
    assert resumed(with_key(), "bob", NOW).next_entry == 1
    with pytest.raises(UsageError, match="has passed"):
        paused(with_key(), replace(PAUSE, until=NOW))
    again = paused(record, replace(PAUSE, by="eve\x1b[31m" + "e" * 300, reason="r" * 300))
    assert again.paused
    assert again.paused.by.isprintable()
    assert (len(again.paused.by), len(again.paused.reason)) == (100, 200)


def test_a_rotation_under_way_is_finished_in_a_pause() -> None:
    small = Small()
    small.hostup.living["other"] = ""
    accept(small.services, TARGET, request())
    small.services.store.change(small.store.load("media", TARGET.path), lambda known: paused(known, PAUSE))
    small.look()
    assert small.record().current is None
    small.passes(hours=1)
    small.look()
    assert small.record().current
    assert small.record().paused is None, "one that is over leaves the record"


def test_what_is_not_used_is_not_in_the_document() -> None:
    """So that a worker of the release before, which knows no such names, goes on reading the record."""
    plain = encode(with_key(requests=(request(),)))
    assert not OLD["record"] & plain.keys()
    assert plain["requests"][0].keys() == OLD["request"]
    used = with_key(requests=(replace(request(), leaked=True),), paused=PAUSE, next_at=NOW, revoking="AK0")
    assert decode(encode(used), "media") == used


def test_an_audit_tells_a_pause_and_what_it_holds_back_and_not_that_it_is_late() -> None:
    record = paused(with_key(requests=(request(at=NOW - DAY),), trouble=DEAD), replace(PAUSE, until=None))
    later = NOW + 31 * DAY
    findings = {each.kind: each for each in of_targets(Survey({"media": record}, {}), {"media": TARGET}, later, MINUTE)}
    assert "overdue" not in findings
    assert "waiting" not in findings
    assert "a request, " in findings["paused"].what
    assert "the rotation due at" in findings["paused"].what
    assert "cannot work with" in findings["paused"].what


def test_a_freeze_lets_through_what_is_asked_for_and_what_apps_need() -> None:
    frozen = replace(TARGET, freezes=(FREEZE,))
    old = NOW - 40 * DAY
    overdue = replace(with_key(), current=replace(current(), created_at=old, published_at=old))
    due = due_at(overdue, frozen, NOW)
    assert due
    assert FREEZE.ends <= due < FREEZE.ends + MINUTE
    for record in (overdue, empty()):
        step = decide(record, due_at(record, frozen, NOW), NOW, {}, freeze=FREEZE)
        assert isinstance(step, Wait), "nobody asked for it"
    asked = replace(overdue, requests=(request(),))
    assert isinstance(decide(asked, due, NOW, {}, freeze=FREEZE), Begin)
    assert outlook(overdue, frozen, NOW).why == "the next rotation"
    dead = decide(with_key(trouble=DEAD), due, NOW, {}, freeze=FREEZE)
    assert isinstance(dead, Begin)
    assert dead.trigger == "healing"


def test_what_falls_into_a_freeze_to_come_moves_behind_it() -> None:
    frozen = replace(TARGET, freezes=(Freeze(NOW + 20 * DAY, NOW + 35 * DAY, "x"),))
    due = due_at(with_key(), frozen, NOW)
    assert due
    assert due >= NOW + 35 * DAY
    before = replace(TARGET, freezes=(Freeze(NOW + 2 * DAY, NOW + 5 * DAY, "x"),))
    assert due_at(with_key(), before, NOW) == due_at(with_key(), TARGET, NOW)


def test_freezes_that_touch_are_one() -> None:
    freezes = (Freeze(NOW, NOW + DAY, "a"), Freeze(NOW + DAY, NOW + 2 * DAY, "b"), Freeze(NOW, NOW + HOUR, "c"))
    assert thawed(freezes, NOW) == NOW + 2 * DAY
    assert thawed(freezes, NOW - SECOND) == NOW - SECOND


def test_a_manual_target_begins_nothing_by_itself_and_says_so() -> None:
    manual = manually(TARGET)
    for record in (empty(), with_key()):
        assert due_at(record, manual, NOW) is None
        wait = outlook(record, manual, NOW)
        assert wait.why == UNASKED
        assert summary_of(record, manual, NOW)["next_rotation_at"] is None
    assert isinstance(decide(with_key(trouble=DEAD), None, NOW, {}), Begin), "a key that died is replaced all the same"
    seen = Survey({"media": with_key()}, {})
    assert list(of_targets(seen, {"media": manual}, NOW + 900 * DAY, MINUTE)) == []
    (finding,) = of_targets(Survey({"media": empty()}, {}), {"media": manual}, NOW, MINUTE)
    assert "rotator rotate media" in finding.hint


def test_a_manual_target_is_rotated_when_it_is_asked_for() -> None:
    small, manual = Small(), manually(TARGET)
    small.hostup.living["other"] = ""
    small.look(manual)
    assert small.hostup.made == []
    accept(small.services, manual, request())
    small.look(manual)
    small.passes(days=900)
    small.look(manual)
    assert small.hostup.made == ["AK1"]


def manually(target: Target) -> Target:
    return replace(target, schedule=Schedule(every=NEVER))


@pytest.mark.parametrize("at", [NOW + HOUR, NOW + 200 * DAY])
def test_a_person_sets_the_next_rotation_once(at: datetime) -> None:
    small = Small()
    small.hostup.living["other"] = ""
    small.look()
    small.services.store.change(small.store.load("media", TARGET.path), lambda r: rescheduled(r, at, "alice", NOW))
    assert due_at(small.record(), TARGET, NOW) == at
    small.clock.time = at - SECOND
    small.look()
    assert small.hostup.made == ["AK1"]
    small.clock.time = at
    small.look()
    assert small.hostup.made == ["AK1", "AK2"]
    after = due_at(small.record(), TARGET, at)
    assert after
    assert abs(after - at - 30 * DAY) < HOUR, "the schedule counts again"


def test_a_moment_that_has_passed_is_refused_and_another_one_taken_back() -> None:
    with pytest.raises(UsageError, match="has passed"):
        rescheduled(with_key(), NOW, "alice", NOW)
    set_once = rescheduled(with_key(), NOW + HOUR, "alice", NOW)
    assert rescheduled(set_once, NOW + HOUR, "alice", NOW) is set_once
    assert rescheduled(set_once, None, "alice", NOW).next_at is None
    frozen = replace(TARGET, freezes=(FREEZE,))
    assert due_at(set_once, frozen, NOW) == FREEZE.ends, "a freeze holds it back, too"
