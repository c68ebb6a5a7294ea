"""What is counted of a record's change: every try that failed, and each rotation and each death once."""

from __future__ import annotations

from dataclasses import replace

from tests.records import DAY, HOLDER, MINUTE, NOW, SECOND, current, empty, rotation, staged
from worker.errors import HostUpCall, HostUpRefused
from worker.rotation.changes.retirement import dead
from worker.rotation.changes.rotation import HEALING, Grace, failed, published, to_retire
from worker.rotation.outcomes import outcome, revocations
from worker.rotation.ports import Life, Probe
from worker.rotation.record import Phase, Record, Request, Why

REFUSED = HostUpRefused("no", HostUpCall("create_key", 400))


def _outcome(before: Record, after: Record) -> tuple[str, str] | None:
    return outcome(before, after, after.history.added)


def test_a_rotation_that_ends_well_counts_with_its_trigger() -> None:
    for trigger in ("schedule", "manual", HEALING):
        under_way = replace(rotation(Phase.VERIFIED, staged()), trigger=trigger)
        before = replace(empty(), rotation=under_way)
        after = published(before, HOLDER.rotation_id, 2, NOW, Grace(DAY))
        assert _outcome(before, after) == (trigger, "succeeded")


def test_the_same_failure_counts_each_time() -> None:
    first = failed(empty(), REFUSED, NOW, NOW + MINUTE, operation="create")
    again = failed(first, REFUSED, NOW, NOW + MINUTE, operation="create")
    assert again.history.added == first.history.added, "the history tells it once"
    assert _outcome(empty(), first) == ("schedule", "failed")
    assert outcome(first, again, ()) == ("schedule", "failed")


def test_a_failure_before_the_beginning_is_named_after_what_wanted_it() -> None:
    asked = replace(empty(), requests=(Request(id="r", reason="", at=NOW),))
    assert _outcome(asked, failed(asked, REFUSED, NOW, NOW, operation="begin")) == ("manual", "failed")


def test_a_change_that_ends_nothing_counts_nothing() -> None:
    before = replace(empty(), rotation=rotation())
    assert outcome(before, before, ()) is None
    assert list(revocations(before, ())) == []


def test_a_death_tells_how_long_it_took_since_the_delete() -> None:
    gone = replace(to_retire("AK9", Why.REPLACED, None, None, NOW), deleted_at=NOW, account="media")
    before = replace(empty(), current=current(), retiring=(gone,))
    after = dead(before, "AK9", Probe(Life.DEAD, 403, "InvalidAccessKeyId", None), NOW + 90 * SECOND)
    assert list(revocations(before, after.history.added)) == [(90.0, "media")]
