"""Which target a key belongs to, as Redis says it to the leak webhook, is a hint that anybody may have written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.scene import Scene, scene_on
from tests.records import current
from tests.reports import SECRET, body_of, headers
from worker.adapters.redis.keys import IDS
from worker.rotation.record import Record
from worker.sandbox.servers import ValkeyServer
from worker.secret import Secret
from worker.service.leak_webhook import LeakWebhook
from worker.settings.credential import Credential


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    return scene_on(tmp_path, client, server, Record(target="media", path="apps/media", current=current()))


def reported(scene: Scene) -> tuple[int, dict[str, Any]]:
    """What is answered to a report of the target's key."""
    webhook = LeakWebhook(scene.runtime, lambda *_, **__: None, Credential(Secret(SECRET), None, "none"))
    body = body_of("AK0")
    answer = webhook.answer(headers(body, sent_id="one", at=scene.clock.now().timestamp()), body)
    (verdict,) = json.loads(answer.text)["keys"]
    return answer.status, verdict


def test_a_key_without_a_document_is_found_by_the_hint(scene: Scene, client: redis.Redis) -> None:
    client.hset(IDS, "AK0", "media")
    assert reported(scene) == (
        202,
        {"access_key": "AK0", "ours": True, "target": "media", "state": "current", "leak_mode": True},
    )


@pytest.mark.parametrize("hint", ["nobody", "../x", "..", "_keys", "a/b", "", "media ", "\x1b[2J", "x" * 1000])
def test_a_hint_that_names_no_target_of_ours_is_none(scene: Scene, client: redis.Redis, hint: str) -> None:
    client.hset(IDS, "AK0", hint)
    assert reported(scene) == (200, {"access_key": "AK0", "ours": False})
