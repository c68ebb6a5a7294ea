"""Keys that no record names any more are named by the audit, by what else remembers them, and brought back by a person.

Vault was set back to when AK0 was current; AK8 and AK9 were made since, and AK8 is dead.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import redis

from tests.doubles import MemoryVault
from tests.forms import fits
from tests.integration.scene import Scene, full_summary, scene_on
from tests.records import DAY, NOW, current
from worker.adapters.redis.index import IndexEntry
from worker.adapters.redis.locks import Hold
from worker.cli.settle import Answers, settle
from worker.cli.trace import not_found
from worker.errors import RecordDeleted, UsageError
from worker.rotation.baseline import note_foreign
from worker.rotation.claims import Owner
from worker.rotation.findings import AuditFinding
from worker.rotation.ports import Seen
from worker.rotation.record import Record, Why
from worker.sandbox.servers import ValkeyServer
from worker.service.audit_task import audit_once, whole_audit

SINCE = ("7f0c3c1e-0000-4000-8000-000000000000", "request-of-AK9", "AK9", "AK8", "rotation-0", "AK0")


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    made = scene_on(tmp_path, client, server, Record(target="media", path="apps/media", current=current()))
    made.hostup.living |= {"AK0": "", "AK9": ""}
    made.runtime.services.vault.write("apps/media", {"access_key": "AK0", "secret_key": "secret-of-AK0"}, 0)
    note_foreign(made.runtime.services, 0, 1, 0)
    entry = IndexEntry("media", full_summary("media"), SINCE)
    made.shared.index.finish_look(entry, NOW, Hold("media", mine=True), Seen(9))
    return made


def _lost(scene: Scene, *, observing: bool = True) -> list[AuditFinding]:
    return [found for found in whole_audit(scene.runtime, observing=observing).findings if found.kind == "lost"]


@pytest.mark.parametrize("held", [True, False], ids=["set back", "not known to be set back"])
def test_a_key_that_only_redis_knows_is_named(scene: Scene, *, held: bool) -> None:
    scene.change(lambda record: replace(record, deletes_held=held))
    (found,) = _lost(scene)
    assert "access key AK9 lives, and is on no record: Redis names it" in found.what
    assert "`rotator settle media --revoke AK9`" in found.hint
    assert len(_lost(scene, observing=False)) == held, "a worker looks only where it knows of it"


def test_a_workers_audit_leaves_what_redis_remembers(scene: Scene) -> None:
    scene.change(lambda record: replace(record, deletes_held=True))
    for _ in range(2):
        audit_once(scene.runtime)
        scene.shared.locks.forget("audit")
        assert scene.shared.index.target_of("AK9") == "media"
        assert len(_lost(scene)) == 1


def test_a_key_whose_own_document_tells_of_it_is_named(scene: Scene) -> None:
    scene.shared.index.forget(["media"])
    claims = scene.runtime.services.store.claims
    for access_key in ("AK0", "AK8", "AK9"):
        claims.claim(access_key, Owner("media", "rotation-9"))
    (found,) = _lost(scene)
    assert "access key AK9 lives, and is on no record: its document in Vault names it" in found.what


def test_nothing_is_named_where_every_key_is_explained(scene: Scene) -> None:
    del scene.hostup.living["AK9"]
    assert _lost(scene) == []


@pytest.mark.parametrize("text", ["no json", "{}", "[1, null]", '["\\u0000"]', "[" * 5000])
def test_what_somebody_else_wrote_to_redis_is_no_key(scene: Scene, client: redis.Redis, text: str) -> None:
    client.hset("rotator:ids_of", "media", text)
    assert _lost(scene) == []


def test_a_person_has_it_deleted_after_the_grace_period(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    settle(scene.options(), "media", None, Answers(revoke="AK9"))
    fits(json.loads(capsys.readouterr().out), "settle")
    (key,) = scene.record().retiring
    assert (key.access_key, key.why, key.retire_after) == ("AK9", Why.SETTLED, scene.clock.now() + DAY)
    assert scene.runtime.services.store.claims.owner("AK9") == Owner("media", None)
    assert _lost(scene) == []
    with pytest.raises(UsageError, match="AK9 is in use by target media"):
        settle(scene.options(), "media", None, Answers(revoke="AK9"))


def test_a_trace_that_finds_nothing_says_what_redis_knows() -> None:
    assert "Redis knows it as an id of target media" in not_found("AK9", "media").what
    assert "`rotator settle media --revoke KEY`" in not_found("AK9", "media").hint
    assert "Redis" not in not_found("AK9", None).what


def test_not_one_that_is_in_use_or_anothers(scene: Scene) -> None:
    scene.runtime.services.store.claims.claim("AK9", Owner("web", "rotation-3"))
    for access_key in ("AK0", "AK9"):
        with pytest.raises(UsageError, match=access_key):
            settle(scene.options(), "media", None, Answers(revoke=access_key))
    assert scene.record().retiring == ()


def test_a_record_that_is_gone_is_not_begun_by_it(scene: Scene) -> None:
    vault, store = cast("MemoryVault", scene.runtime.services.vault), scene.runtime.services.store
    vault.soft_delete(store.path("media"))
    with pytest.raises(RecordDeleted):
        settle(scene.options(), "media", None, Answers(revoke="AK9"))
