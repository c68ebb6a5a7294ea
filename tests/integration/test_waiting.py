"""``rotate --wait`` on a real Valkey: whether it notices that nobody is there to serve the request."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
import redis

from tests.integration.scene import Scene, full_summary, scene_on, shows
from tests.records import NOW, SECOND, current, empty, rotation, staged
from worker.adapters.redis.index import IndexEntry
from worker.adapters.redis.workers import SILENT_SECONDS
from worker.cli.check_redis import of_workers
from worker.cli.waiting import Outcome, Waiting
from worker.rotation.record import Phase, Record, Request
from worker.sandbox.servers import ValkeyServer

PATIENCE = timedelta(minutes=5)


@pytest.fixture(params=[None, Phase.STAGED, Phase.VERIFIED, Phase.CREATING], ids=str)
def phase(request: pytest.FixtureRequest) -> Phase | None:
    found: Phase | None = request.param
    return found


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer, phase: Phase | None) -> Scene:
    key = staged() if phase in (Phase.STAGED, Phase.VERIFIED) else None
    under_way = rotation(phase, key) if phase else None
    known = Record(target="media", path="apps/media", current=current(), rotation=under_way) if phase else empty()
    return scene_on(tmp_path, client, server, known)


def wait(scene: Scene) -> tuple[Outcome, float]:
    """How the waiting ends, and after how many seconds."""
    waiting = Waiting(scene.runtime, scene.target, Request(id="request-9", reason="", at=NOW), scene.record())
    outcome = waiting.until_served(PATIENCE)
    return outcome, scene.clock.monotonic()


def test_without_any_worker_it_ends_within_seconds(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    outcome, took = wait(scene)
    assert outcome.exit_code == 75
    assert took < 20
    assert "No worker has shown up" in outcome.gave_up
    assert capsys.readouterr().err.count("No worker is there") == 1


def test_a_worker_that_stops_meanwhile_is_noticed(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.beat(until=20 * SECOND)
    scene.clock.acts.append(lambda now: scene.shared.heartbeats.leave("one") if now > NOW + 20 * SECOND else None)
    outcome, took = wait(scene)
    assert outcome.exit_code == 75
    assert took < 20 + 20
    assert "No worker is there any more" in outcome.gave_up
    assert "No worker is there to rotate the key" in capsys.readouterr().err


def test_a_worker_that_is_killed_meanwhile_is_noticed(scene: Scene) -> None:
    scene.beat(until=20 * SECOND)
    outcome, took = wait(scene)
    assert outcome.exit_code == 75
    assert took < 20 + SILENT_SECONDS + 10
    assert "No worker is there any more" in outcome.gave_up


def test_a_worker_that_was_killed_just_before_is_no_worker(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.beat(until=timedelta(0))
    outcome, took = wait(scene)
    assert outcome.exit_code == 75
    assert took < SILENT_SECONDS + 10
    assert "No worker is there to rotate the key; one was seen" in capsys.readouterr().err


def test_what_is_left_of_a_worker_that_was_killed_long_ago_is_no_worker(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    shows(scene.shared.client, "one", timedelta(hours=1))
    outcome, took = wait(scene)
    assert "No worker has shown up" in outcome.gave_up
    assert took < 20
    assert "No worker is there to rotate the key" in capsys.readouterr().err


def test_a_worker_that_lives_is_waited_for(scene: Scene) -> None:
    scene.beat(until=2 * PATIENCE)
    outcome, took = wait(scene)
    assert took >= PATIENCE.total_seconds()
    assert "There is no outcome yet" in outcome.gave_up


def test_a_worker_that_comes_later_is_waited_for(scene: Scene) -> None:
    began = NOW + 8 * SECOND
    scene.clock.acts.append(lambda now: shows(scene.shared.client, "two", SECOND) if now > began else None)
    _, took = wait(scene)
    assert took >= PATIENCE.total_seconds()


def test_workers_that_leave_the_target_alone_are_named(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.beat(until=2 * PATIENCE, takes=False)
    wait(scene)
    assert capsys.readouterr().err.count("none takes the target up") == 1


def test_workers_that_take_it_up_are_not(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.beat(until=2 * PATIENCE)
    wait(scene)
    assert "none takes the target up" not in capsys.readouterr().err


@pytest.mark.parametrize("phase", [None], indirect=True)
def test_check_says_since_when_a_killed_worker_was_not_seen(scene: Scene) -> None:
    client, heartbeats = scene.shared.client, scene.shared.heartbeats
    shows(client, "killed", 40 * SECOND)
    shows(client, "there", 2 * SECOND)
    both = of_workers(heartbeats.ages())
    assert both.state == "ok"
    assert "1 there: there (seen 2 s ago)" in both.detail
    assert "silent: killed (seen 40 s ago)" in both.detail
    shows(client, "there", timedelta(hours=3))
    none = of_workers(heartbeats.ages())
    assert none.state == "warning"
    assert "none is there" in none.detail
    assert "silent: there (seen 3 h ago)" in none.detail


@pytest.mark.parametrize("phase", [None], indirect=True)
def test_what_it_waits_for_is_said_once(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.beat(until=2 * PATIENCE)
    wait_of_look = full_summary("media", waits_for="the end of the world", waits_until=(NOW + PATIENCE).isoformat())
    scene.shared.index.refresh([IndexEntry("media", wait_of_look, ())])
    outcome, _ = wait(scene)
    assert capsys.readouterr().err.count("Waits for the end of the world, until 2026-11-24 12:05:00 UTC") == 1
    assert "waits for the end of the world" in outcome.gave_up
