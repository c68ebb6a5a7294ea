"""A worker rescues a key while a person repairs: what nobody has looked at stays as it is until somebody does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest
import redis

from tests.doubles import MemoryStorage, MemoryVault, one_account
from tests.integration.scene import Scene, scene_on
from tests.records import MINUTE, SECOND, current
from worker.cli.repair import _carry_out, _lines, _plan
from worker.rotation.claims import Owner
from worker.rotation.ports import Life, Probe, VaultPort
from worker.rotation.record import Record, encode
from worker.rotation.records import RecordStore
from worker.sandbox.servers import ValkeyServer

STATE = "hostup-rotator/state"
RESCUED = {"access_key": "AK7", "secret_key": "s3cr3t-canary", "rotation_id": "rotation-7", "request_id": "request-7"}
SEEN = {"access_key": "AK6", "secret_key": "s3cr3t-canary", "rotation_id": "rotation-6", "request_id": "request-6"}


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    return scene_on(tmp_path, client, server, Record(target="media", path="apps/media", current=current()))


def _unreadable(scene: Scene) -> None:
    services = scene.runtime.services
    services.vault.write(services.store.path("media"), {**encode(scene.record()), "hello": "world"}, _version(scene))


def test_of_a_record_that_is_gone_the_keys_own_documents_tell(scene: Scene) -> None:
    """AK6 lived by its document, and so did a key of another target; AK5 is known to be dead."""
    services, store = scene.runtime.services, scene.runtime.services.store
    for access_key in ("AK5", "AK6"):
        store.claims.claim(access_key, Owner("media", f"rotation-of-{access_key}"))
    store.claims.note_dead("AK5", "media", Probe(Life.DEAD, 403, "InvalidAccessKeyId", "tx"))
    store.claims.claim("AK7", Owner("other", "rotation-7"))
    cast("MemoryVault", services.vault).forget(store.path("media"))
    services = replace(services, store=RecordStore(services.vault, STATE, scene.clock, seen_version=lambda _: 4))
    runtime = replace(scene.runtime, services=services)
    plan = _plan(runtime, scene.target)
    assert plan.problem is not None
    assert [(key.loose.access_key, key.loose.where, key.loose.rotation_id) for key in plan.keys] == [
        ("AK6", "_keys", "rotation-of-AK6")
    ]
    _carry_out(runtime, plan, [key.loose for key in plan.keys])
    assert [key.access_key for key in scene.record().retiring] == ["AK6"]


def _version(scene: Scene) -> int:
    vault: VaultPort = scene.runtime.services.vault
    return vault.read(scene.runtime.services.store.path("media")).version


@pytest.mark.parametrize("broken", [True, False], ids=["the record is unreadable", "the record is well"])
def test_a_key_that_is_rescued_after_the_look_is_not_settled_by_it(scene: Scene, *, broken: bool) -> None:
    """Neither AK6 nor AK7 lives, so that the first repair settles all that it looked at."""
    store = scene.runtime.services.store
    scene.hostup.living["AK0"] = "the current one"
    store.rescue("media", "rotation-6", SEEN)
    if broken:
        _unreadable(scene)
    plan = _plan(scene.runtime, scene.target)
    store.rescue("media", "rotation-7", RESCUED)
    _carry_out(scene.runtime, plan, [])
    assert store.rescued("media") == {"rotation-7": RESCUED}
    again = _plan(scene.runtime, scene.target)
    assert [key.loose.access_key for key in again.keys] == ["AK7"]
    _carry_out(scene.runtime, again, [])
    assert store.rescued("media") == {}


@dataclass
class RefusingWrongSecrets(MemoryStorage):
    """Answers a wrong secret of any key as if there were no such key."""

    def lives(self, access_key: str) -> Probe:
        del access_key
        return Probe(Life.DEAD, 403, "InvalidAccessKeyId", "tx")


@pytest.mark.parametrize("broken", [True, False], ids=["the record is unreadable", "the record is well"])
@pytest.mark.parametrize("refusing", [True, False], ids=["refuses wrong secrets", "knows no witness"])
def test_where_the_gateway_cannot_be_told_apart_a_key_that_may_live_is_left_to_a_person(
    scene: Scene, *, broken: bool, refusing: bool
) -> None:
    services, store = scene.runtime.services, scene.runtime.services.store
    store.rescue("media", "rotation-6", SEEN)
    if broken:
        _unreadable(scene)
    if refusing:
        storage = RefusingWrongSecrets(scene.hostup)
        services = replace(services, accounts=one_account(scene.hostup, storage))
        scene.hostup.living |= dict.fromkeys(("AK0", "AK6"), "it lives")
    runtime = replace(scene.runtime, services=services)
    plan = _plan(runtime, scene.target)
    assert [(key.loose.access_key, key.life) for key in plan.keys] == [("AK6", "unknown")]
    assert any("AK6" in line and "nobody answers for it" in line for line in _lines(plan, [], done=False))
    _carry_out(runtime, plan, [])
    assert "rotation-6" in store.rescued("media")


@pytest.mark.parametrize(("ago", "life"), [(SECOND, "unknown"), (2 * MINUTE, "dead")])
def test_a_key_that_is_too_new_to_be_known_is_not_taken_for_dead(scene: Scene, ago: timedelta, life: str) -> None:
    scene.hostup.living["AK0"] = "the current one"
    made_at = scene.clock.now() - ago
    scene.runtime.services.store.rescue("media", "rotation-6", {**SEEN, "created_at": made_at.isoformat()})
    assert [(key.loose.access_key, key.life) for key in _plan(scene.runtime, scene.target).keys] == [("AK6", life)]
