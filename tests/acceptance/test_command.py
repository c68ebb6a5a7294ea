"""The command ``rotator`` beside a service that works, and beside one where something is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance.service import Service, Worker
from tests.forms import fits
from tests.sandbox import wait_until
from worker.sandbox.simulator.faults import fault

NOBODY = "127.0.0.1:9"
"""An address where nothing listens (the discard port)."""

LIGHT_WITHOUT = {"rich", "celery", "structlog", "botocore", "pygments", "click"}


@dataclass(frozen=True)
class Said:
    """What one call of the command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(service: Service, *arguments: str, **env: str) -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", *arguments],
        env={**service.environment(), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def without_redis(service: Service, *arguments: str) -> Said:
    return run(service, *arguments, REDIS_URL_FILE="", REDIS_URL=f"redis://{NOBODY}/0")


def without_vault(service: Service, *arguments: str) -> Said:
    return run(service, *arguments, VAULT_ADDR=f"http://{NOBODY}")


@pytest.fixture
def worker(service: Service) -> Worker:
    """A worker that has published the target's first key."""
    started = service.start()
    wait_until(lambda: service.published() is not None and service.redis.hlen("rotator:summary") > 0, "the first key")
    return started


def secret(service: Service) -> dict[str, Any]:
    found = service.published()
    assert found is not None
    return found


class TestWithoutWorker:
    def test_a_request_stays_on_record_and_says_so(self, service: Service) -> None:
        said = run(service, "rotate", service.target, "--reason", "leaked", "--json")
        assert said.code == 75
        assert said.json == {
            "target": service.target,
            "rotation_id": None,
            "outcome": "accepted",
            "access_key": None,
            "previous_access_key": None,
            "vault_version": None,
            "request_id": None,
            "duration_ms": None,
        }
        assert "No worker is there" in said.err
        assert [request["reason"] for request in service.record()["requests"]] == ["leaked"]
        waited = run(service, "rotate", service.target, "--wait", "--timeout", "1s")
        assert waited.code == 75
        assert "No worker is there" in waited.err
        assert "stays on record" in waited.err
        [status] = run(service, "status", service.target, "--json").json
        assert (status["phase"], status["access_key"], status["requests"]) == ("idle", None, 2)
        service.start()
        wait_until(lambda: service.published() is not None, "the request to be served")
        assert len(service.made()) == 1
        [rotation] = run(service, "history", service.target, "--json").json
        assert (rotation["trigger"], rotation["reason"]) == ("manual", "leaked")

    def test_waiting_for_a_worker_has_an_end(self, service: Service) -> None:
        said = run(service, "rotate", service.target, "--wait", "--json")
        assert (said.code, said.json["outcome"]) == (75, "accepted")
        assert said.err.count("No worker is there") == 1
        assert "No worker has shown up" in said.err

    def test_all_targets_are_shown_before_anything_was_done(self, service: Service) -> None:
        said = run(service, "status", "--json")
        assert said.code == 0
        assert [(each["target"], each["phase"], each["retiring"]) for each in said.json] == [
            (service.target, "idle", [])
        ]
        assert service.target in run(service, "status").out
        assert run(service, "history", service.target, "--json").json == []

    def test_ids_that_nobody_knows(self, service: Service) -> None:
        said = run(service, "trace", "no-such-id", "--json")
        assert said.code == 1
        assert "no-such-id" in said.json["error"]["what"]
        assert run(service, "history", "no-such-target").code == 2


class TestRotate:
    def test_progress_goes_to_stderr_and_the_result_to_stdout(self, service: Service, worker: Worker) -> None:
        del worker
        said = run(service, "rotate", service.target, "--wait", "--json")
        assert said.code == 0
        assert said.json["access_key"] == secret(service)["access_key"]
        for event in ("rotation.started", "key.created", "key.verified", "secret.published", "rotation.succeeded"):
            assert event in said.err
        assert said.json["request_id"] in said.err

    def test_a_failure_tells_when_it_is_tried_again(self, service: Service, worker: Worker) -> None:
        del worker
        before = secret(service)
        service.sandbox.simulator.admin.order(fault("403", "create"))
        said = run(service, "rotate", service.target, "--wait", "--json")
        assert said.code == 1
        assert said.json["outcome"] == "failed"
        assert said.json["error"]["request_id"] in said.err
        assert "tried again" in said.err
        assert secret(service) == before
        wait_until(lambda: secret(service)["version"] == before["version"] + 1, "the request to be served all the same")

    def test_without_redis_the_request_is_on_record(self, service: Service, worker: Worker) -> None:
        del worker
        said = without_redis(service, "rotate", service.target)
        assert said.code == 75
        assert "on record in Vault" in said.err
        assert len(service.record()["requests"]) == 1

    def test_without_vault_nothing_is_accepted(self, service: Service) -> None:
        said = without_vault(service, "rotate", service.target, "--json")
        assert said.code == 75
        assert said.json["error"]["kind"] == "VaultUnavailable"


class TestLooking:
    def test_the_truth_is_in_vault(self, service: Service, worker: Worker) -> None:
        del worker
        key = secret(service)
        expected = (key["access_key"], key["version"], key["request_id"])
        commands = (("status", service.target), ("status",), ("status", "--fresh"))
        for command in commands:
            for said in (run(service, *command, "--json"), without_redis(service, *command, "--json")):
                [status] = said.json
                assert (status["access_key"], status["vault_version"], status["request_id"]) == expected
                assert (status["phase"], status["retiring"], status["last_error"]) == ("idle", [], None)
        [status] = without_redis(service, "status", service.target, "--json").json
        assert (status["last_seen_living_at"], status["watch_found"]) == (None, ""), "that only Redis knows"
        assert without_redis(service, "trace", key["request_id"], "--json").json["target"] == service.target
        assert without_redis(service, "history", service.target).code == 0

    def test_without_vault_redis_remembers_and_that_is_said(self, service: Service, worker: Worker) -> None:
        del worker
        for command in (("status", service.target), ("status",)):
            said = without_vault(service, *command, "--json")
            assert [status["access_key"] for status in said.json] == [secret(service)["access_key"]]
        assert "may be old" in without_vault(service, "status", service.target).err
        assert without_vault(service, "status", service.target, "--fresh").code == 75
        assert without_vault(service, "trace", "any").code == 75

    def test_what_people_see_has_every_id(self, service: Service, worker: Worker) -> None:
        key = secret(service)
        service.rotate()
        dead = worker.wait_for("key.dead")
        shown = run(service, "trace", key["access_key"]).out
        for identifier in (key["request_id"], key["rotation_id"], dead["request_id"], service.target):
            assert identifier in shown
        assert key["request_id"] in run(service, "history", service.target).out
        assert "rotation.requested" in run(service, "history", service.target, "--events").out
        assert secret(service)["access_key"] in run(service, "status", service.target).out

    def test_one_target_is_shown_without_loading_what_is_not_needed(self, service: Service, worker: Worker) -> None:
        del worker
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "worker.cli", "status", service.target],
            env=service.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
        assert "hvac" in imported
        assert not LIGHT_WITHOUT & imported


class TestCheck:
    def test_all_is_well(self, service: Service, worker: Worker) -> None:
        del worker
        before = (service.record(), service.sandbox.simulator.admin.calls("create"))
        said = run(service, "check", "--json")
        assert said.code == 0, said.out
        assert {line["state"] for line in said.json} == {"ok"}
        checks = [line["check"] for line in said.json]
        parts = ("configuration", "Redis", "worker", "Vault", "Vault login", "Vault mount")
        assert checks == [*parts, "Vault settings", "Vault paths", "HostUp", "API key", "object storage", "targets"]
        assert (service.record(), service.sandbox.simulator.admin.calls("create")) == before

    def test_a_missing_worker_is_a_warning(self, service: Service) -> None:
        said = run(service, "check", "--json")
        assert said.code == 0
        assert [line["check"] for line in said.json if line["state"] == "warning"] == ["worker"]

    def test_everything_is_looked_at_whatever_fails(self, service: Service) -> None:
        key = service.folder / "wrong-key"
        key.write_text("wrong-canary")
        wrong = {"VAULT_TOKEN_FILE": "", "VAULT_TOKEN": "wrong-canary", "HOSTUP_API_KEY_FILE": str(key)}
        said = run(
            service, "check", "--json", REDIS_URL_FILE="", REDIS_URL=f"redis://:wrong-canary@{NOBODY}/0", **wrong
        )
        assert said.code == 1
        failed = {line["check"] for line in said.json if not line["ok"]}
        assert failed >= {"Redis", "Vault login", "HostUp", "object storage", "targets"}
        assert "Vault" not in failed
        assert "wrong-canary" not in said.out + said.err

    def test_rights_that_lack_are_named(self, service: Service) -> None:
        rules = 'path "secret/data/*" { capabilities = ["read"] }'
        service.vault.sys.create_or_update_policy(service.target, rules)
        token = service.vault.auth.token.create(policies=[service.target])["auth"]["client_token"]
        said = run(service, "check", VAULT_TOKEN_FILE="", VAULT_TOKEN=token)
        assert said.code == 1
        assert f"create, update on secret/data/{service.path}" in said.out
        assert "rotator-policy.hcl" in said.out

    def test_a_current_key_that_was_deleted_elsewhere(self, service: Service, worker: Worker) -> None:
        del worker
        service.sandbox.simulator.admin.remove_key(secret(service)["access_key"])
        said = run(service, "check", "--json")
        assert said.code == 1
        [line] = [line for line in said.json if not line["ok"]]
        assert line["check"] == f"target {service.target}"
        assert "rotator rotate" in line["hint"]
        assert run(service, "check", "--no-keys").code == 0


class TestByHand:
    def test_somebody_elses_secret_is_adopted_by_name_only(self, service: Service) -> None:
        old = service.sandbox.simulator.admin.add_key("made by hand")
        mine = {"access_key": old.access_key, "secret_key": old.secret_key}
        service.vault.secrets.kv.v2.create_or_update_secret(path=service.path, secret=mine)
        started = service.start()
        started.wait_for("rotation.failed")
        assert service.made() == [old.access_key]
        shown = run(service, "status", service.target, "--json").json
        fits(shown, "status")
        assert "rotator adopt" in shown[0]["last_error"]["hint"]
        wrong = run(service, "adopt", service.target, "--access-key", "ANOTHER")
        assert wrong.code == 2
        assert old.secret_key not in wrong.err
        adopted = run(service, "adopt", service.target, "--access-key", old.access_key, "--json")
        assert (adopted.code, adopted.json["access_key"]) == (0, old.access_key)
        fits(adopted.json, "adopt")
        assert service.rotate()["previous_access_key"] == old.access_key
        started.wait_for("key.dead")
        assert not service.sandbox.simulator.admin.keys()[old.access_key].exists

    def test_foreign_keys_are_noted(self, service: Service, worker: Worker) -> None:
        del worker
        assert run(service, "audit").code == 0
        stranger = service.sandbox.simulator.admin.add_key("somebody else's")
        found = run(service, "audit", "--json")
        assert (found.code, found.json["drift"]) == (1, 1)
        assert [finding["kind"] for finding in found.json["findings"]] == ["drift"]
        noted = run(service, "settle", "--foreign", str(found.json["foreign"] + 1), "--json")
        assert noted.code == 0
        fits(noted.json, "settle")
        assert run(service, "audit").code == 0
        service.sandbox.simulator.admin.remove_key(stranger.access_key)

    def test_an_unconfirmed_create_is_listed_and_settled(self, service: Service, worker: Worker) -> None:
        service.sandbox.simulator.admin.order(fault("cut-after", "create"))
        assert run(service, "rotate", service.target, "--wait").code == 1
        unknown = worker.wait_for("create.unconfirmed")
        listed = run(service, "settle", service.target, "--json").json
        fits(listed, "settle")
        fits(run(service, "status", service.target, "--json").json, "status")
        [create] = listed
        assert (create["rotation_id"], create["label"]) == (unknown["rotation_id"], unknown["label"])
        for command in (("settle", service.target), ("status", service.target)):
            assert unknown["label"] in run(service, *command).out
        assert run(service, "settle", service.target, "--revoke", secret(service)["access_key"]).code == 2
        keys = service.sandbox.simulator.admin.keys().values()
        [orphan] = [key.access_key for key in keys if key.label == unknown["label"]]
        service.sandbox.simulator.admin.remove_key(orphan)
        settled = run(service, "settle", service.target, "--deleted", "--json")
        assert settled.code == 0
        fits(settled.json, "settle")
        assert run(service, "settle", service.target, "--json").json == []
        worker.wait_for("rotation.succeeded", 2)
        assert run(service, "audit").code == 0

    def test_nothing_to_settle(self, service: Service) -> None:
        assert run(service, "settle", service.target, "--json").json == []
        said = run(service, "settle", service.target, "--none")
        assert said.code == 2
        assert "Nothing has to be settled" in said.err


class TestPoisonedRecord:
    def poison(self, service: Service, **changes: object) -> dict[str, Any]:
        document = {**service.record(), **changes}
        path = f"{service.state}/{service.target}"
        version = service.vault.secrets.kv.v2.read_secret_metadata(path=path)["data"]["current_version"]
        service.vault.secrets.kv.v2.create_or_update_secret(path=path, secret=document, cas=version)
        return document

    def test_it_is_shown_first_and_repaired_on_yes(self, service: Service, worker: Worker) -> None:
        key = secret(service)
        poisoned = self.poison(service, retiring=[{"access_key": key["access_key"], "hello": 1}])
        unreadable = run(service, "status", service.target, "--json").json
        fits(unreadable, "status")
        [status] = unreadable
        assert (status["phase"], status["last_error"]["hint"].count("rotator repair")) == ("unreadable", 1)
        shown = run(service, "repair", service.target, "--json")
        fits(shown.json, "repair")
        assert (shown.code, shown.json["done"], shown.json["access_key"]) == (0, False, key["access_key"])
        assert service.record() == poisoned
        assert run(service, "repair", service.target, "--yes").code == 0
        [status] = run(service, "status", service.target, "--json").json
        assert (status["access_key"], status["retiring"]) == (key["access_key"], [])
        assert service.rotate()["previous_access_key"] == key["access_key"]
        worker.wait_for("key.dead")
        assert key["request_id"] in run(service, "trace", key["access_key"]).out
        assert run(service, "audit").code == 0

    def test_a_left_over_key_is_retired_only_by_name(self, service: Service, worker: Worker) -> None:
        stray = service.sandbox.simulator.admin.add_key("left over")
        self.poison(service, retiring=[{"access_key": stray.access_key}])
        done = run(service, "repair", service.target, "--yes", "--json")
        fits(done.json, "repair")
        [loose] = done.json["loose_keys"]
        assert (loose["access_key"], loose["life"]) == (stray.access_key, "alive")
        assert service.record()["retiring"] == []
        assert "rescued" in [finding["kind"] for finding in run(service, "audit", "--json").json["findings"]]
        assert run(service, "repair", service.target, "--retire", secret(service)["access_key"]).code == 2
        assert run(service, "repair", service.target, "--yes", "--retire", stray.access_key).code == 0
        wait_until(lambda: not service.sandbox.simulator.admin.keys()[stray.access_key].exists, "the stray key's end")
        worker.wait_for("key.dead")
        assert [f for f in run(service, "audit", "--json").json["findings"] if f["kind"] == "rescued"] == []

    def test_a_record_of_a_newer_release_is_not_touched(self, service: Service, worker: Worker) -> None:
        del worker
        poisoned = self.poison(service, schema=99)
        said = run(service, "repair", service.target, "--yes")
        assert said.code == 1
        assert "newer release" in said.err
        assert service.record() == poisoned

    def test_a_record_that_is_gone_is_made_anew_from_what_apps_read(self, service: Service, worker: Worker) -> None:
        key, path = secret(service), f"{service.state}/{service.target}"
        worker.stop()
        service.vault.secrets.kv.v2.delete_latest_version_of_secret(path)
        refused = run(service, "repair", service.target, "--yes")
        assert (refused.code, "vault kv undelete" in refused.err) == (1, True)
        service.vault.secrets.kv.v2.delete_metadata_and_all_versions(path)
        [status] = run(service, "status", service.target, "--json").json
        assert (status["phase"], status["last_error"]["hint"].count("rotator repair")) == ("unreadable", 1)
        assert run(service, "rotate", service.target, "--wait").code == 1
        assert run(service, "repair", service.target, "--yes").code == 0
        [status] = run(service, "status", service.target, "--json").json
        assert (status["phase"], status["access_key"]) == ("idle", key["access_key"])
        service.start()
        assert service.rotate()["previous_access_key"] == key["access_key"]
        assert run(service, "audit").code == 0

    def test_nothing_to_repair(self, service: Service, worker: Worker) -> None:
        del worker
        before = service.record()
        said = run(service, "repair", service.target, "--yes")
        assert (said.code, "nothing to do" in said.out) == (0, True)
        assert service.record() == before
