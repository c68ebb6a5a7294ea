"""What a target waits for that is on no record: its look has found it, and status and audit tell it from Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.scene import Scene, scene_on
from tests.records import MINUTE, NOW, SECOND, current, request
from worker.adapters.redis.index import IndexEntry
from worker.adapters.redis.locks import Hold
from worker.rotation.reconcile import LookResult, reconcile
from worker.rotation.record import Record
from worker.rotation.status import summarize, summary_of, with_reason
from worker.sandbox.servers import ValkeyServer
from worker.service.audit_task import whole_audit

PLACES = "creates are under way for this account"


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    """A request waits for an hour already."""
    asked = (request(at=NOW - 60 * MINUTE),)
    return scene_on(
        tmp_path, client, server, Record(target="media", path="apps/media", current=current(), requests=asked)
    )


def _look(scene: Scene, client: redis.Redis) -> LookResult:
    """A worker's, while others have all places for creates; then it writes down what it found."""
    runtime = scene.with_account(client)
    account = runtime.services.at("default").account
    held = [account.place(f"other-{number}") for number in range(2)]
    for place in held:
        place.__enter__()
    found = reconcile(runtime.services, scene.target)
    entry = IndexEntry("media", summarize(found.record, found.due, found.wait), ())
    scene.shared.index.finish_look(entry, found.wait.until, Hold("media", mine=True))
    return found


def _summary(scene: Scene) -> dict[str, Any]:
    now = scene.clock.now()
    return with_reason(summary_of(scene.record(), scene.target, now), scene.shared.index.summary("media"), now)


def _hint(scene: Scene) -> str:
    (finding,) = [each for each in whole_audit(scene.runtime).findings if each.kind == "waiting"]
    return finding.hint


def test_a_place_that_is_waited_for_is_named_by_look_status_and_audit(scene: Scene, client: redis.Redis) -> None:
    found = _look(scene, client)
    assert PLACES in found.wait.why
    assert PLACES in _summary(scene)["waits_for"]
    assert _summary(scene)["waits_until"] == found.wait.until.isoformat(timespec="milliseconds")
    assert f"It waits for {found.wait.why}, until" in _hint(scene)


def test_what_was_found_long_ago_is_not_told_any_more(scene: Scene, client: redis.Redis) -> None:
    found = _look(scene, client)
    scene.clock.time = found.wait.until + MINUTE + SECOND
    assert PLACES not in _summary(scene)["waits_for"]
    assert PLACES not in _hint(scene)


def test_what_was_found_of_another_state_is_not_told(scene: Scene, client: redis.Redis) -> None:
    _look(scene, client)
    scene.change(
        lambda record: Record(target="media", path="apps/media", current=current("ANOTHER"), requests=record.requests)
    )
    assert PLACES not in _summary(scene)["waits_for"]
    assert PLACES not in _hint(scene)


def test_without_redis_the_record_tells_what_it_can(scene: Scene) -> None:
    now = scene.clock.now()
    summary = summary_of(scene.record(), scene.target, now)
    assert with_reason(summary, None, now) == summary
