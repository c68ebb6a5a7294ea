"""Reading all records: for the note of how many keys are foreign, and going on where Vault turned it away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from tests.doubles import Gate
from tests.records import empty
from tests.worlds import SLACK, STATE, TARGET, Small
from worker.errors import VaultRateLimited
from worker.rotation.audit import audit
from worker.rotation.baseline import ensure_baseline
from worker.rotation.changes.settlement import Found, adopted_key
from worker.rotation.survey import survey
from worker.targets.target import Target

T = TypeVar("T")


def test_a_key_adopted_before_the_note_was_made_is_no_drift() -> None:
    small = Small()
    for name in ("BY-HAND", "OTHER", "ANOTHER"):
        small.hostup.living[name] = "before the worker came"
    small.put(adopted_key(empty(), Found("BY-HAND", 1, None, None, None), small.clock.now(), TARGET.grace))
    small.vault.versions[TARGET.path] = [{"access_key": "BY-HAND"}]
    assert ensure_baseline(small.services, small.targets) == 3
    assert audit(small.services, small.targets, SLACK).drift == 0


class _MadeMeanwhile(Gate):
    """While the records are read for the first time, a key comes to be, and its record was read before."""

    def __init__(self, small: Small) -> None:
        self.small = small
        self.left = 1

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        del lost
        result = effect()
        if name == f"vault read {STATE}/{TARGET.name}" and self.left:
            self.left -= 1
            self.small.look()
        return result


def test_a_key_made_while_the_records_are_read_is_not_called_foreign() -> None:
    small = Small()
    small.hostup.living["BY-HAND"] = "before the worker came"
    small.vault.gate = _MadeMeanwhile(small)
    assert ensure_baseline(small.services, small.targets) == 1
    assert len(small.hostup.made) == 1


class _Quota(Gate):
    """Of every so many reads of records one is turned away; from ``shut`` on all are."""

    def __init__(self, served: int, shut: int) -> None:
        self.served = served
        self.shut = shut
        self.reads: Counter[str] = Counter()
        self.asked = 0

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        del lost
        if name.startswith(f"vault read {STATE}/t"):
            self.asked += 1
            if self.asked % self.served == 0 or self.asked > self.shut:
                raise VaultRateLimited("rate limit quota", operation="read", path=name, status=429)
            self.reads[name] += 1
        return effect()


def _many(quota: _Quota) -> tuple[Small, dict[str, Target]]:
    small = Small()
    targets = {name: replace(TARGET, name=name, path=f"apps/{name}") for name in (f"t{number}" for number in range(30))}
    for name in targets:
        small.put(replace(empty(), target=name, path=f"apps/{name}"))
    small.vault.gate = quota
    return small, targets


def test_a_survey_that_a_quota_stops_goes_on_where_it_was() -> None:
    small, targets = _many(quota := _Quota(7, 1000))
    assert len(survey(small.services, targets).records) == 30
    assert set(quota.reads.values()) == {1}, "no record is read twice"


def test_a_survey_that_gets_nowhere_says_so() -> None:
    small, targets = _many(_Quota(7, 12))
    with pytest.raises(VaultRateLimited):
        survey(small.services, targets)
