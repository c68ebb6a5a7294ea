"""What a forged version holds back, by which a record seems set back, and a forged due time: until the next audit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from tests.integration.scene import Scene, scene_on
from tests.records import DAY, NOW, current, retiring
from worker.adapters.redis import keys
from worker.rotation.record import Record
from worker.sandbox.servers import ValkeyServer
from worker.service.audit_task import audit_once
from worker.service.look import look_while_due


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    known = Record(target="media", path="apps/media", current=current(), retiring=(retiring("AK9"),))
    made = scene_on(tmp_path, client, server, known)
    made.hostup.living |= {"AK0": "", "AK9": ""}
    return made


def audited(scene: Scene, client: redis.Redis) -> None:
    client.delete(keys.once("audit"))
    audit_once(scene.runtime)


@pytest.mark.parametrize("version", ["3", "999999999", "9" * 15])
def test_a_forged_version_holds_deletes_until_the_next_audit(scene: Scene, client: redis.Redis, version: str) -> None:
    audited(scene, client)  # notes which keys are not ours: none
    client.hset(keys.VERSIONS, "media", version)
    look_while_due(scene.runtime, "media")
    assert "AK9" in scene.hostup.living, "nobody can tell it from a Vault that was set back"
    audited(scene, client)
    assert not scene.record().deletes_held
    look_while_due(scene.runtime, "media")
    assert "AK9" not in scene.hostup.living


@pytest.mark.parametrize("version", ["9" * 16, "-1", "x", "", "1e9", "0x7fffffff", "nan"])
def test_what_is_no_version_holds_nothing(scene: Scene, client: redis.Redis, version: str) -> None:
    client.hset(keys.VERSIONS, "media", version)
    look_while_due(scene.runtime, "media")
    assert "AK9" not in scene.hostup.living


@pytest.mark.parametrize("later", [DAY, 365 * DAY, 3600 * DAY])
def test_a_look_that_was_put_off_is_brought_back_by_the_audit(
    scene: Scene, client: redis.Redis, later: timedelta
) -> None:
    """Where the due time is a moment that a record may give; the tick sees to what is further away."""
    wanted = NOW + timedelta(hours=2)
    scene.change(
        lambda record: replace(record, retiring=(replace(retiring("AK9"), retire_after=wanted, next_look_at=wanted),))
    )
    client.zadd(keys.DUE, {"media": (NOW + later).timestamp()})
    audited(scene, client)
    assert client.zscore(keys.DUE, "media") == wanted.timestamp()
