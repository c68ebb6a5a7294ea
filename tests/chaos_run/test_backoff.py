"""What fails is tried again, ever less often, by its own; HostUp is not hammered, and nothing is given up silently."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.chaos_run.shift import DAY, WEEK, Shift
from worker.sandbox.simulator.faults import fault
from worker.selftest.evidence import Json

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def _failures(shift: Shift, target: str, span: timedelta) -> list[Json]:
    """Every failure of a target that is recorded within so much time, each once."""
    found: dict[str, Json] = {}
    end = shift.clock.now() + span
    while shift.clock.now() < end:
        shift.live(MINUTE)
        failure = shift.record(target)["failure"]
        if failure:
            found[failure["at"]] = failure
    return list(found.values())


def _wait(failure: Json) -> timedelta:
    return datetime.fromisoformat(failure["retry_at"]) - datetime.fromisoformat(failure["at"])


def test_a_failing_target_backs_off_alone(quick: Shift) -> None:
    target = quick.runtime.settings.targets["t0"]
    before = quick.current()
    foreign = quick.runtime.services.vault.read(target.path)
    quick.runtime.services.vault.write(target.path, {"access_key": "somebody else's"}, foreign.version)
    quick.live(DAY)
    failures = _failures(quick, "t0", 5 * HOUR)
    waits = [_wait(failure) for failure in failures]
    counts = [failure["count"] for failure in failures]
    assert counts == list(range(counts[0], counts[0] + len(counts)))
    for count, wait in zip(counts, waits, strict=True):
        least = min(MINUTE * 2 ** (count - 1), HOUR)
        assert least <= wait <= least * 1.25, count
    assert len(set(waits)) > 2, "there is no jitter"
    assert max(waits) >= HOUR
    assert failures[0]["kind"] == "Conflict"
    assert quick.last_error("t0")["count"] == counts[-1]
    after = quick.current()
    assert after["t0"] == before["t0"]
    assert all(after[name] != before[name] for name in before if name != "t0"), "another target was held up"
    assert all(not quick.record(name)["failure"] for name in before if name != "t0")


def test_retry_after_is_obeyed_by_all_targets(quick: Shift) -> None:
    limited = replace(fault("429", "create"), retry_after="900")
    quick.simulator.admin.order(limited)
    before, calls = quick.current(), quick.calls()["create"]
    quick.live(DAY - 30 * MINUTE)
    while quick.calls()["create"] == calls:
        quick.live(MINUTE)
    asked = quick.calls()["create"]
    quick.live(13 * MINUTE)
    assert quick.calls()["create"] == asked == calls + 1, "HostUp was asked again before it wanted to be"
    quick.live(5 * MINUTE)
    assert not set(before.values()) & set(quick.current().values())


@pytest.mark.parametrize(
    ("trouble", "least", "most"),
    [
        ("500-before", 2, 7 * 24 + 4),  # one an hour for the whole account: keyCount shows that nothing is made
        ("500-after", 2, 3 * 4),  # each makes a key that nobody has: three for each target, then a person is waited for
        ("cut-after", 2, 3 * 4),
        ("401", 1, 4),  # one is enough to know that the API refuses all
        ("403", 1, 4),
        ("400", 2, 7 * 24 * 4),  # refused for what each target asked: each by its own backoff
    ],
)
def test_creates_fail_for_a_week_and_hostup_is_not_hammered(shift: Shift, trouble: str, least: int, most: int) -> None:
    before, calls = shift.current(), shift.calls()
    operation = "*" if trouble in ("401", "403") else "create"
    shift.simulator.admin.order(fault(trouble, operation, times=-1))
    shift.live(WEEK)
    made = (shift.calls() - calls)["create"]
    assert least <= made <= most
    assert shift.current() == before
    assert any(shift.last_error(name) for name in before)
    orphans = len(shift.simulator.admin.keys()) - len(before) - 1
    told = [
        create
        for record in shift.records().values()
        for create in record["unconfirmed_creates"]
        if not create["settled"]
    ]
    assert orphans <= len(told)
    if trouble.endswith("-after"):
        assert orphans == made
        assert all(shift.last_error(name)["kind"] == "PersonNeeded" for name in before)
        shift.simulator.admin.clear()
        shift.live(DAY)
        assert (shift.calls() - calls)["create"] == made, "keys are made again before a person has looked"


def test_deletes_fail_for_a_week_and_keys_do_not_pile_up(shift: Shift) -> None:
    calls = shift.calls()
    shift.simulator.admin.order(fault("500-before", "delete", times=-1))
    shift.live(WEEK)
    for name, record in shift.records().items():
        waiting = [key for key in record["retiring"] if not key["deleted_at"]]
        assert waiting, "the test has shown nothing"
        assert len(record["retiring"]) <= 20, name
        assert all(key["attempts"] and key["error"] for key in waiting[:-1]), name
    assert (shift.calls() - calls)["delete"] <= 7 * 24 * 2
    shift.simulator.admin.clear()
    shift.live(DAY / 2)
    assert all(len(record["retiring"]) <= 1 for record in shift.records().values())
