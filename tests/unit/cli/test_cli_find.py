"""What ``rotator find`` says of a key, in every state that one can be in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.records import request
from tests.unit.rotation.test_leak import looks, revoked_and_alive
from tests.worlds import TARGET, Small
from worker.cli.find import _document as document
from worker.rotation.changes.watch import confirmed, troubled
from worker.rotation.reconcile import accept
from worker.rotation.record import Record, Trouble, TroubleKind
from worker.rotation.trace import trace
from worker.service.leak_webhook import _state as state_for_scanners


def found(small: Small, access_key: str, record: Record | None = None) -> dict[str, Any]:
    known = trace(small.store, access_key, TARGET.name)
    return document(access_key, TARGET.name, known.events if known else (), record or small.record())


@pytest.fixture
def small() -> Small:
    """A target whose first key is in its grace."""
    made = Small()
    made.look()
    made.passes(hours=1)
    accept(made.services, TARGET, request("second", made.clock.now()))
    made.look()
    return made


def test_a_key_in_its_grace_is_so_since_another_one_replaced_it(small: Small) -> None:
    replaced = small.clock.now()
    small.passes(hours=2)
    told = found(small, "AK1")
    assert (told["state"], told["since"]) == ("waiting", replaced.isoformat())
    assert told["works_until"] == (replaced + TARGET.grace).isoformat()
    assert state_for_scanners(small.record(), "AK1") == "in grace"


def test_of_a_key_that_is_long_dead_the_archives_tell(small: Small) -> None:
    small.passes(days=2)
    small.look()
    small.passes(hours=1)
    small.look()
    died = found(small, "AK1")
    for number in range(80):
        accept(small.services, TARGET, request(f"more {number}", small.clock.now()))
        small.look()
        small.passes(hours=2)
    assert "AK1" not in [entry.access_key for entry in small.record().history.entries()]
    assert found(small, "AK1") == died
    assert (died["state"], died["delete_request_id"]) == ("dead", "delete-of-AK1")
    assert died["dead_at"] == died["since"]


def test_a_current_key_that_a_person_revoked_is_not_current_for_anybody() -> None:
    small = revoked_and_alive()
    record = small.record()
    assert record.revoked
    assert record.revoked.deleted_at
    told = found(small, "AK1")
    assert (told["state"], told["since"]) == ("deleted", record.revoked.deleted_at.isoformat())
    assert state_for_scanners(record, "AK1") == "deleted"
    looks(small, hours=2)
    assert found(small, "AK1")["state"] == "overdue"
    del small.hostup.living["AK1"]
    looks(small, hours=30)
    told = found(small, "AK1")
    assert (told["state"], told["since"]) == ("dead", told["dead_at"])
    assert state_for_scanners(small.record(), "AK1") == "deleted"


def test_a_current_key_that_died_is_dead_once_a_second_look_has_seen_it(small: Small) -> None:
    now = small.clock.now()
    trouble = Trouble(kind=TroubleKind.KEY_REFUSED, access_key="AK2", since=now, what="it is refused")
    doubtful = troubled(small.record(), trouble)
    assert (found(small, "AK2", doubtful)["state"], state_for_scanners(doubtful, "AK2")) == ("current", "current")
    certain = confirmed(doubtful, trouble, now)
    told = found(small, "AK2", certain)
    assert (told["state"], told["since"]) == ("dead", now.isoformat())
    assert state_for_scanners(certain, "AK2") == "deleted"
    lost = replace(trouble, kind=TroubleKind.SECRET_LOST, confirmed=True)
    assert found(small, "AK2", replace(certain, trouble=lost))["state"] == "current"
