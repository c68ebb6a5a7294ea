"""While the object storage's endpoint is not accepted no key is made and none deleted, and everything says why."""

from __future__ import annotations

import pytest
import structlog

from tests.worlds import SLACK, TARGET, Small
from worker.rotation.audit import audit
from worker.rotation.ports import Life, Probe
from worker.rotation.record import Phase
from worker.secret import Secret

WHY = "HostUp names the object storage https://other, and before it named https://first"


@pytest.fixture
def small() -> Small:
    made = Small()
    made.hostup.living["BY-HAND"] = "before"
    return made


def test_no_key_is_made_and_the_record_says_why(small: Small) -> None:
    small.storage.refused = WHY
    small.look()
    assert small.hostup.made == []
    failure = small.record().failure
    assert failure is not None
    assert (failure.kind, failure.what) == ("EndpointRefused", WHY)
    findings = {finding.kind: finding.what for finding in audit(small.services, small.targets, SLACK).findings}
    assert findings["endpoint"] == WHY
    assert WHY in findings["failing"]
    # and once a person accepted it, it goes on by itself
    small.storage.refused = ""
    small.passes(hours=2)
    small.look()
    assert small.hostup.made == ["AK1"]


def test_a_staged_key_stays_staged(small: Small) -> None:
    works = small.storage.works

    def refuse(access_key: str, secret_key: Secret) -> Probe:
        """The endpoint changes just when the new key is to be verified."""
        small.storage.refused = WHY
        return works(access_key, secret_key)

    small.storage.works = refuse  # type: ignore[method-assign]
    for _ in range(20):
        small.look()
        small.passes(minutes=10)
    rotation = small.record().rotation
    assert rotation is not None
    assert rotation.phase is Phase.STAGED
    assert small.hostup.made == ["AK1"]
    assert small.hostup.deleted == []


def test_nothing_is_deleted(small: Small) -> None:
    small.look()
    small.passes(days=31)
    small.look()
    assert small.hostup.made == ["AK1", "AK2"]
    small.storage.refused = WHY
    for _ in range(5):
        small.passes(days=1)
        small.look()
    assert small.hostup.deleted == []
    retiring = small.record().retiring[0]
    assert retiring.access_key == "AK1"
    assert WHY in retiring.error
    small.storage.refused = ""
    small.passes(days=1)
    small.look()
    assert small.hostup.deleted == ["AK1"]


def test_the_watch_says_that_the_storage_cannot_be_asked(small: Small) -> None:
    small.look()
    small.storage.refused = WHY
    with structlog.testing.capture_logs() as logs:
        small.look(watching=True)
    assert [(line["event"], line["error"]) for line in logs] == [("storage.unasked", WHY)]
    assert small.record().trouble is None


def test_a_watch_of_a_storage_that_answers_nonsense_has_its_own_name(small: Small) -> None:
    small.look()

    def slow(access_key: str, *_: object) -> Probe:
        return Probe(Life.UNKNOWN, 503, "SlowDown", "tx", f"slow to tell of {access_key}")

    small.storage.lives = small.storage.works = slow  # type: ignore[method-assign, assignment]
    with structlog.testing.capture_logs() as logs:
        small.look(TARGET, watching=True)
    assert [line["event"] for line in logs] == ["watch.found"]
