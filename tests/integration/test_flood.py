"""Messages of the right form that are refused: a flood of them fills no log, and has Vault asked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
import redis
from structlog.testing import capture_logs

from tests.doubles import Gate, MemoryVault
from tests.integration.scene import Scene, scene_on
from tests.integration.test_forged_redis import WellVault, ticked
from tests.records import MINUTE, SECOND, current
from worker.adapters.redis.reading import StoredRequest
from worker.errors import UsageError
from worker.rotation.record import Record
from worker.sandbox.servers import ValkeyServer
from worker.service.refusals import TOLD_IN_A_WINDOW
from worker.service.request import Asked, rotate
from worker.service.tasks import guarded

T = TypeVar("T")
FLOOD = 200


class Counting(Gate):
    """Counts the calls that pass."""

    calls = 0

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        self.calls += 1
        return super().pass_through(name, effect, lost)


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    made = scene_on(tmp_path, client, server, Record(target="media", path="apps/media", current=current()))
    made.runtime = replace(made.runtime, vault=WellVault())  # type: ignore[arg-type]  # a double
    return made


def refused(logs: list[Any]) -> list[dict[str, Any]]:
    return [line for line in logs if line["event"] == "task.refused"]


def ask(scene: Scene, number: int, target: str = "media") -> None:
    guarded(scene.runtime, "rotator.rotate", lambda: rotate(scene.runtime, target, Asked(f"message-{number}")))


def test_requests_beyond_the_limit_are_told_a_few_times_and_ask_vault_once_a_minute(scene: Scene) -> None:
    vault = scene.runtime.services.vault
    assert isinstance(vault, MemoryVault)
    scene.clock.time += MINUTE
    for number in range(3):
        ask(scene, number)
    vault.gate = counting = Counting()
    with capture_logs() as logs:
        for number in range(FLOOD):
            ask(scene, 10 + number)
        assert counting.calls <= 5
        assert len(refused(logs)) == TOLD_IN_A_WINDOW
        assert {line["target"] for line in refused(logs)} == {"media"}
        scene.clock.time += MINUTE + SECOND
        ticked(scene.runtime)
        assert refused(logs)[-1]["count"] == FLOOD - TOLD_IN_A_WINDOW
    assert scene.shared.requests.all() == {}


def test_a_request_is_taken_again_once_it_may(scene: Scene) -> None:
    for number in range(4):
        ask(scene, number)
    scene.clock.time += 61 * MINUTE
    with capture_logs() as logs:
        ask(scene, 10)
    assert not refused(logs)


@pytest.mark.parametrize("task", ["rotator.rotate", "rotator.reconcile", "rotator.watch"])
def test_messages_about_targets_that_there_are_not_are_told_a_few_times(scene: Scene, task: str) -> None:
    def run() -> None:
        raise UsageError("there is no target 'nobody'", hint="See the names in `rotator status`.")

    with capture_logs() as logs:
        for _ in range(FLOOD):
            guarded(scene.runtime, task, run)
    assert len(refused(logs)) == TOLD_IN_A_WINDOW


def test_kept_requests_of_targets_that_there_are_not_are_told_a_few_times(scene: Scene) -> None:
    for number in range(FLOOD):
        scene.shared.requests.keep(f"request-{number}", StoredRequest(target="nobody", reason=""))
    with capture_logs() as logs:
        ticked(scene.runtime)
    assert len(refused(logs)) == TOLD_IN_A_WINDOW
    assert scene.shared.requests.all() == {}
