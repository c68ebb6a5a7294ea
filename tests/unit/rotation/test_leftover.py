"""What retires of a target that was removed from the configuration is still deleted; nothing else of it is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.records import MINUTE, current, retiring
from tests.worlds import SLACK, STATE, TARGET, Small
from worker.rotation.audit import audit
from worker.rotation.leftover import retire_leftovers
from worker.rotation.record import Record
from worker.rotation.survey import survey


@pytest.fixture
def small() -> Small:
    """A target that has rotated once, and was then removed: AK2 is current, AK1 retires in a day."""
    made = Small()
    made.look()
    made.passes(days=30)
    made.look()
    assert set(made.hostup.living) == {"AK1", "AK2"}
    made.targets = {}
    return made


def _retire(small: Small) -> None:
    retire_leftovers(small.services, survey(small.services, small.targets), small.targets)


def test_a_key_in_grace_is_deleted_when_its_time_comes_and_proven_dead(small: Small) -> None:
    small.passes(hours=23)
    _retire(small)
    assert set(small.hostup.living) == {"AK1", "AK2"}
    small.passes(hours=2)
    _retire(small)
    assert set(small.hostup.living) == {"AK2"}
    record = small.record()
    assert record.retiring == ()
    assert record.current
    assert record.current.access_key == "AK2"
    assert [entry.event for entry in record.history.entries()][-2:] == ["key.retired", "key.dead"]
    assert record.history.entries()[-2].request_id


def test_the_audit_names_the_current_key_and_nothing_that_retires(small: Small) -> None:
    (finding,) = audit(small.services, small.targets, SLACK).findings
    assert (finding.kind, finding.target) == ("removed", "media")
    assert "AK2" in finding.what
    small.alter(current=None)
    del small.hostup.living["AK2"]
    assert audit(small.services, small.targets, SLACK).findings == ()
    small.passes(days=3)
    assert [finding.kind for finding in audit(small.services, small.targets, SLACK).findings] == ["alive"]


def test_a_key_that_is_published_by_any_name_is_not_deleted(small: Small) -> None:
    small.vault.versions["apps/media"].append({"AWS_ACCESS_KEY_ID": "AK1"})
    small.passes(days=2)
    _retire(small)
    assert "AK1" in small.hostup.living


def test_nothing_is_deleted_while_deletes_are_held(small: Small) -> None:
    small.alter(deletes_held=True)
    small.passes(days=2)
    _retire(small)
    assert "AK1" in small.hostup.living
    small.alter(deletes_held=False)
    _retire(small)
    assert "AK1" not in small.hostup.living


def test_a_key_that_another_target_has_is_not_deleted(small: Small) -> None:
    other = Record(target="films", path="apps/films", current=current("AK1"))
    small.put(other)
    small.passes(days=2)
    _retire(small)
    assert "AK1" in small.hostup.living


def test_a_target_that_was_renamed_is_left_to_the_person(small: Small) -> None:
    small.targets = {"films": replace(TARGET, name="films")}
    small.passes(days=2)
    _retire(small)
    assert "AK1" in small.hostup.living


def test_a_configured_target_is_none_of_its_business(small: Small) -> None:
    small.targets = {"media": TARGET}
    small.passes(days=2)
    _retire(small)
    assert "AK1" in small.hostup.living


def test_one_that_fails_does_not_hold_up_the_others(small: Small) -> None:
    small.vault.versions[f"{STATE}/broken"] = [{"garbage": True}]
    small.hostup.living["AK8"] = ""
    late = replace(retiring("AK8", MINUTE), retire_after=small.clock.now())
    small.put(Record(target="web", path="apps/web", retiring=(late,)))
    small.passes(hours=25)
    _retire(small)
    assert set(small.hostup.living) == {"AK2"}
