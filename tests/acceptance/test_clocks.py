"""Clocks that are wrong, or that jump: nothing is deleted early, leases end, and rotations come when they are due."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.acceptance.service import Service, Worker
from tests.acceptance.shifted_worker import shift
from tests.sandbox import wait_until
from worker.adapters.redis import keys
from worker.sandbox.simulator.faults import HANG, fault

HOUR = 3600


def shifted(service: Service, seconds: int, *arguments: str) -> Worker:
    """A worker whose machine's clock is wrong by so many seconds."""
    _shift(service, seconds)
    return service.run_worker("tests.acceptance.shifted_worker", str(service.folder / "shift"), *arguments)


def _shift(service: Service, seconds: int) -> None:
    shift(service.folder / "shift", seconds)


def over(moment: float) -> None:
    """Wait until a moment of the monotonic clock has passed."""
    wait_until(lambda: time.monotonic() > moment, "a moment to pass")


def at(event: dict[str, Any]) -> float:
    """When something was logged; the log goes by this machine's true clock."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


@pytest.mark.parametrize("wrong", [HOUR, -HOUR])
def test_a_key_is_not_deleted_early_by_a_worker_whose_clock_is_wrong(service: Service, wrong: int) -> None:
    service.grace = "8s"
    right = service.start()
    right.wait_for("rotation.succeeded")
    service.rotate()
    published = right.wait_for("secret.published", 2)
    right.stop()
    worker = shifted(service, wrong)
    worker.wait_for("clock.apart")
    if wrong < 0:  # both clocks have to say that the time is over
        over(time.monotonic() + 10)
        assert not worker.events("key.retired")
        _shift(service, 0)
        worker.wait_for("clock.agrees")
    assert at(worker.wait_for("key.retired")) - at(published) >= 7.9


@pytest.mark.parametrize("wrong", [HOUR, -HOUR])
def test_records_go_by_the_clock_that_all_workers_share(service: Service, wrong: int) -> None:
    service.grace = "8s"
    worker = shifted(service, wrong)
    worker.wait_for("rotation.succeeded")
    service.rotate()
    record = service.record()
    published = datetime.fromisoformat(record["current"]["published_at"])
    assert abs((published - datetime.now(UTC)).total_seconds()) < 60
    (retiring,) = record["retiring"]
    kept = datetime.fromisoformat(retiring["retire_after"]) - published
    assert kept.total_seconds() >= 8, "never less than the grace, whichever clock is the right one"
    assert abs(worker.wait_for("clock.apart")["ahead_s"] - wrong) < 10
    check = service.rotator("check", "--json")
    assert "1 there" in next(each["detail"] for each in json.loads(check.stdout) if each["check"] == "worker")


def test_rotations_come_when_they_are_due_while_the_clock_jumps_ahead_and_back(service: Service) -> None:
    service.every, service.grace = "10s", "2s"
    worker = shifted(service, 0)
    for jump in (0, HOUR, 0, -HOUR, 0):
        _shift(service, jump)
        done, began = len(worker.events("rotation.succeeded")), time.monotonic()
        worker.wait_for("rotation.succeeded", done + 1)
        assert time.monotonic() - began < 40
    assert len(service.made()) <= 8, "no rotation is made because a clock is wrong"


def test_workers_whose_clocks_are_apart_see_each_other_and_share_the_ticks(service: Service) -> None:
    service.every = "8s"
    ahead = shifted(service, 120, "--no-beat")
    ahead.wait_for("worker.started")
    other = service.start()
    other.wait_for("worker.started")
    wait_until(lambda: service.redis.zcard(keys.WORKERS) == 2, "both workers")
    check = service.rotator("check", "--json")
    assert "2 there" in next(each["detail"] for each in json.loads(check.stdout) if each["check"] == "worker")
    wait_until(lambda: len(service.made()) >= 4, "four keys")
    assert not ahead.events("task.revoked")


def test_the_lease_of_a_worker_whose_clock_is_ahead_ends(service: Service) -> None:
    ahead = shifted(service, HOUR)
    ahead.wait_for("rotation.succeeded")
    service.sandbox.simulator.admin.order(replace(fault("timeout-before", "create"), wait=HANG))
    service.rotator("rotate", service.target)
    wait_until(lambda: bool((service.record()["rotation"] or {}).get("phase") == "creating"), "a create under way")
    ahead.kill()
    service.sandbox.simulator.admin.clear()
    follower = service.start()
    follower.wait_for("create.unconfirmed")
