"""A key that a person names is claimed before it goes on record, as a key that HostUp hands over is."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis

from tests.integration.scene import Scene, scene_on
from tests.records import create, current
from worker.cli.adopt import adopt
from worker.cli.repair import repair
from worker.cli.settle import Answers, settle
from worker.errors import UsageError
from worker.rotation.claims import KeyClaims, Owner
from worker.rotation.record import Record
from worker.sandbox.servers import ValkeyServer

OTHERS = Owner("web", "rotation-3")
RESCUED = {"access_key": "AK7", "secret_key": "s3cr3t-canary", "rotation_id": "rotation-7", "request_id": "request-7"}


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    known = Record(target="media", path="apps/media", current=current(), unconfirmed_creates=(create(),))
    made = scene_on(tmp_path, client, server, known)
    made.hostup.living |= {"AK0": "", "AK7": "media rotation-7"}
    made.runtime.services.store.rescue("media", "rotation-7", RESCUED)
    return made


@pytest.fixture
def claims(scene: Scene) -> KeyClaims:
    return scene.runtime.services.store.claims


def _settle(scene: Scene) -> None:
    settle(scene.options(), "media", None, Answers(revoke="AK7"))


def _repair(scene: Scene) -> None:
    repair(scene.options(), "media", ["AK7"], yes=True)


@pytest.mark.parametrize("name_it", [_settle, _repair])
@pytest.mark.parametrize("before", [None, Owner("media", "rotation-7")], ids=["nobody's", "its own already"])
def test_it_is_the_targets_from_then_on(scene: Scene, claims: KeyClaims, name_it: object, before: Owner | None) -> None:
    assert callable(name_it)
    if before:
        claims.claim("AK7", before)
    name_it(scene)
    assert claims.owner("AK7") == Owner("media", "rotation-7")
    assert [key.access_key for key in scene.record().retiring] == ["AK7"]


@pytest.mark.parametrize("name_it", [_settle, _repair])
def test_one_that_was_made_for_another_target_is_refused(scene: Scene, claims: KeyClaims, name_it: object) -> None:
    """It would be put on record, and then never be deleted."""
    assert callable(name_it)
    claims.claim("AK7", OTHERS)
    before = scene.record()
    with pytest.raises(UsageError, match="AK7"):
        name_it(scene)
    assert (scene.record(), claims.owner("AK7")) == (before, OTHERS)
    assert scene.runtime.services.store.rescued("media") == {"rotation-7": RESCUED}


@pytest.mark.parametrize("before", [None, OTHERS], ids=["nobody's", "another's before"])
def test_an_adopted_key_is_the_targets_by_a_persons_word(scene: Scene, claims: KeyClaims, before: Owner | None) -> None:
    if before:
        claims.claim("AK7", before)
    scene.runtime.services.vault.write("apps/media", {"access_key": "AK7", "secret_key": "s3cr3t-canary"}, 0)
    adopt(scene.options(), "media", "AK7")
    assert claims.owner("AK7") == Owner("media", None)
