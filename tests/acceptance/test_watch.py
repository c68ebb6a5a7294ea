"""What apps read is watched by a real worker: what strangers do to it is found within one interval, and mended."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hvac.exceptions import InvalidRequest  # type: ignore[import-untyped]  # hvac ships no types

from tests.acceptance.service import Service
from tests.sandbox import wait_until
from worker.sandbox.simulator.faults import fault


@pytest.fixture
def watched(service: Service) -> Service:
    """A worker that watches every second, and a first key."""
    service.watch_every = "1s"
    service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    return service


def _published(service: Service) -> dict[str, Any]:
    secret = service.published()
    assert secret is not None
    return secret


def _status(service: Service) -> dict[str, Any]:
    done = service.rotator("status", service.target, "--json")
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    return dict(found)


def test_a_key_that_a_stranger_deletes_is_replaced_by_itself(watched: Service) -> None:
    first = _published(watched)
    watched.sandbox.simulator.admin.remove_key(first["access_key"])
    wait_until(lambda: _published(watched)["access_key"] != first["access_key"], "a new key")
    assert watched.works(_published(watched))
    worker = watched.workers[0]
    assert worker.wait_for("key.died")["level"] == "error"
    assert worker.wait_for("rotation.started", 2)["trigger"] == "healing"
    wait_until(lambda: not watched.record()["retiring"], "the proof that the old key is dead")
    assert watched.rotator("audit").returncode == 0


def test_a_secret_that_was_deleted_comes_back_with_the_same_key(watched: Service) -> None:
    first = _published(watched)
    watched.vault.secrets.kv.v2.delete_latest_version_of_secret(path=watched.path)
    wait_until(lambda: watched.published() is not None, "the secret")
    assert _published(watched)["access_key"] == first["access_key"]
    assert watched.made() == [first["access_key"]]


@pytest.mark.parametrize("how", ["destroyed", "deleted with its metadata"])
def test_a_secret_that_is_gone_for_good_is_published_anew(watched: Service, how: str) -> None:
    first = _published(watched)
    kv = watched.vault.secrets.kv.v2
    if how == "destroyed":
        kv.destroy_secret_versions(path=watched.path, versions=[1])
    else:
        kv.delete_metadata_and_all_versions(path=watched.path)
    wait_until(lambda: watched.published() is not None, "a new secret")
    second = _published(watched)
    assert second["access_key"] != first["access_key"]
    assert watched.works(second)
    watched.workers[0].wait_for("secret.lost")


def test_what_somebody_wrote_over_it_is_reported_and_left_alone(watched: Service) -> None:
    watched.vault.secrets.kv.v2.create_or_update_secret(path=watched.path, secret={"access_key": "THEIRS"})
    watched.workers[0].wait_for("conflict.found")
    assert _published(watched)["access_key"] == "THEIRS"
    assert _status(watched)["trouble"]["kind"] == "overwritten"
    for command in ("check", "audit"):
        done = watched.rotator(command)
        assert done.returncode == 1
        assert "rotator adopt" in done.stdout
    for told in (watched.rotator("status"), watched.rotator("status", watched.target)):
        assert told.returncode == 0, "it shows what is, and judges nothing"
        assert "did not write" in " ".join(told.stdout.split())


def test_a_secret_key_that_somebody_changed_under_our_own_key_is_reported(watched: Service) -> None:
    changed = {**_published(watched), "secret_key": "another-one-than-that"}
    watched.vault.secrets.kv.v2.create_or_update_secret(path=watched.path, secret=changed)
    assert "secret_key" in watched.workers[0].wait_for("conflict.found")["error"]
    for command in ("check", "audit"):
        done = watched.rotator(command)
        assert done.returncode == 1
        assert "somebody changed secret_key" in done.stdout
    assert len(watched.made()) == 1


def test_a_suspended_user_is_told_and_no_key_is_made_for_it(watched: Service) -> None:
    watched.sandbox.simulator.admin.behave(suspended=True)
    try:
        watched.workers[0].wait_for("account.suspended")
        for command in ("check", "audit"):
            done = watched.rotator(command)
            assert done.returncode == 1
            assert "its user is suspended" in done.stdout
        assert "UserSuspended" in _status(watched)["watch_found"]
    finally:
        watched.sandbox.simulator.admin.behave(suspended=False)
    watched.workers[0].wait_for("account.unsuspended")
    assert len(watched.made()) == 1


@pytest.mark.parametrize("of", ["the app's secret", "the record"])
def test_a_document_that_is_set_to_expire_stops_the_first_key_and_is_told(service: Service, of: str) -> None:
    path = service.path if of == "the app's secret" else f"{service.state}/{service.target}"
    kv = service.vault.secrets.kv.v2
    kv.update_metadata(path=path, delete_version_after="1h")
    service.start().wait_for("rotation.failed")
    assert service.made() == []
    done = service.rotator("check")
    assert done.returncode == 1
    assert f"{path} is set to lose every version after 1h0m0s" in done.stdout
    kv.update_metadata(path=path, delete_version_after="0s")
    wait_until(lambda: service.published() is not None, "the first key")
    again = service.rotator("check")
    assert again.returncode == 0, again.stdout


def test_a_secret_of_which_one_version_is_kept_is_told(watched: Service) -> None:
    watched.vault.secrets.kv.v2.update_metadata(path=watched.path, max_versions=1)
    done = watched.rotator("check")
    assert done.returncode == 0, done.stdout
    assert f"{watched.path} keeps one version" in done.stdout


def _seen_living(service: Service) -> str:
    (found,) = json.loads(service.rotator("status", "--json").stdout)
    return found["last_seen_living_at"] or ""


def test_a_healthy_target_is_seen_living_and_nothing_is_written(watched: Service) -> None:
    wait_until(lambda: _seen_living(watched) != "", "a look")
    before = watched.vault.secrets.kv.v2.read_secret_metadata(path=f"{watched.state}/{watched.target}")
    seen = _seen_living(watched)
    wait_until(lambda: _seen_living(watched) > seen, "another look")
    after = watched.vault.secrets.kv.v2.read_secret_metadata(path=f"{watched.state}/{watched.target}")
    assert after["data"]["current_version"] == before["data"]["current_version"]
    assert _status(watched)["last_seen_living_at"] >= seen, "of one target as of all"
    assert "seen living" in watched.rotator("status", watched.target).stdout


def test_a_storage_that_cannot_tell_is_named_by_the_status_of_one_target(watched: Service) -> None:
    wait_until(lambda: _seen_living(watched) != "", "a look")
    watched.sandbox.simulator.admin.order(fault("500-before", "s3", times=-1))
    try:
        wait_until(lambda: _status(watched)["watch_found"] != "", "a look at a storage that cannot tell")
        assert f"TROUBLE: {_status(watched)['watch_found']}" in watched.rotator("status", watched.target).stdout
    finally:
        watched.sandbox.simulator.admin.clear()


@pytest.mark.parametrize("where", ["in the mount", "at a destination"])
def test_a_copy_that_is_set_to_expire_stops_the_first_key_and_is_told(service: Service, where: str) -> None:
    kv, path = service.vault.secrets.kv.v2, f"{service.path}/copy"
    mount, name = ("secret", "") if where == "in the mount" else (f"kv-{service.target}", "far:")
    if name:
        service.vault.sys.enable_secrets_engine("kv", path=mount, options={"version": "2"})
        service.tables = f'[[destination]]\nname = "far"\nmount = "{mount}"\n'
    service.target_lines = f'also = ["{name}{path}"]\n'
    wait_until(lambda: _is_set_up(service, mount), "the mount")  # Vault upgrades a new one to version 2 for a moment
    kv.update_metadata(path=path, mount_point=mount, delete_version_after="1h")
    service.start().wait_for("rotation.failed")
    assert service.made() == []
    done = service.rotator("check")
    assert done.returncode == 1
    assert f"{mount}/{path} is set to lose every version after 1h0m0s" in done.stdout
    kv.update_metadata(path=path, mount_point=mount, delete_version_after="0s")
    wait_until(lambda: service.published() is not None, "the first key")
    again = service.rotator("check")
    assert again.returncode == 0, again.stdout


def _is_set_up(service: Service, mount: str) -> bool:
    with suppress(InvalidRequest):
        return bool(service.vault.secrets.kv.v2.read_configuration(mount_point=mount))
    return False
