"""``rotator check`` says of each target what apps cannot work with, and of which nobody knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import redis

from tests.doubles import one_account
from tests.integration.scene import Scene, scene_on
from tests.records import current
from tests.unit.rotation.test_watch import DENIED, NO_SUCH_KEY, SLOW_DOWN, OddStorage
from worker.cli import check_targets
from worker.cli.verdicts import Verdict
from worker.rotation.ports import Life, Probe
from worker.rotation.record import Record
from worker.sandbox.servers import ValkeyServer

TIMED_OUT = Probe(Life.UNKNOWN, None, None, None, "no answer")
SUSPENDED = Probe(Life.UNKNOWN, 403, "UserSuspended", "tx", "the account is suspended")


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    made = scene_on(tmp_path, client, server, Record(target="media", path="apps/media", current=current()))
    made.hostup.living["AK0"] = "the current one"
    made.runtime.services.vault.write("apps/media", {"access_key": "AK0", "secret_key": "secret-of-AK0"}, 0)
    return made


def _verdicts(scene: Scene, probe: Probe | None, targets: int = 1) -> list[Verdict]:
    storage = OddStorage(scene.hostup)
    storage.wrong = {"AK0": probe} if probe else {}
    storage.right = dict(storage.wrong)
    services, settings = scene.runtime.services, scene.runtime.settings
    known = dict(settings.targets)
    for number in range(1, targets):
        target = replace(scene.target, name=f"media-{number}", path=f"apps/media-{number}")
        known[target.name] = target
        record = Record(target=target.name, path=target.path, current=current())
        services.store.rewrite(record, 0)
        services.vault.write(target.path, {"access_key": "AK0", "secret_key": "secret-of-AK0"}, 0)
    services = replace(services, accounts=one_account(scene.hostup, storage))
    runtime = replace(scene.runtime, services=services, settings=replace(settings, targets=known))
    return list(check_targets.look(runtime, keys=True))


def test_a_key_that_lives_has_no_line(scene: Scene) -> None:
    (all_of_them,) = _verdicts(scene, None)
    assert all_of_them.detail == "1 of 1 are well; 1 have a key"


@pytest.mark.parametrize("probe", [NO_SUCH_KEY, DENIED])
def test_a_key_that_is_dead_is_a_failure(scene: Scene, probe: Probe) -> None:
    target, all_of_them = _verdicts(scene, probe)
    assert (target.check, target.state) == ("target media", "failed")
    assert all_of_them.detail == "0 of 1 are well; 1 have a key"


@pytest.mark.parametrize("probe", [SLOW_DOWN, TIMED_OUT, SUSPENDED], ids=["busy", "no answer", "suspended"])
def test_a_key_that_cannot_be_judged_is_not_called_well(scene: Scene, probe: Probe) -> None:
    target, *account, all_of_them = _verdicts(scene, probe)
    assert (target.check, target.state) == ("target media", "warning")
    assert probe.detail in target.detail
    assert [each.state for each in account] == ["failed"] * (probe is SUSPENDED), "that is a finding of the account"
    assert all_of_them.detail == "0 of 1 are well; 1 have a key"


def test_many_of_them_are_one_line(scene: Scene) -> None:
    targets, all_of_them = _verdicts(scene, SLOW_DOWN, targets=8)
    assert (targets.check, targets.state) == ("8 targets", "warning")
    assert "media, media-1, media-2, media-3, media-4 and 3 more: not known" in targets.detail
    assert all_of_them.detail == "0 of 8 are well; 8 have a key"
