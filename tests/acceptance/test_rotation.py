"""What a user sees: keys are rotated on schedule and on demand, and nothing is lost or cut off on the way."""

from __future__ import annotations

import json
from pathlib import Path

from celery import Celery

from tests.acceptance.service import APP_PASSWORD, Service
from tests.sandbox import wait_until
from worker.adapters.redis.keys import WORKERS
from worker.settings.settings import QUEUE


def test_a_rotation_from_end_to_end(service: Service) -> None:
    service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    first = service.published()
    assert first is not None
    assert service.works(first)

    answer = service.rotate()

    second = service.published()
    assert second is not None
    assert service.works(second)
    assert len(service.made()) == 2
    assert answer == {
        "target": service.target,
        "rotation_id": second["rotation_id"],
        "outcome": "succeeded",
        "access_key": second["access_key"],
        "previous_access_key": first["access_key"],
        "vault_version": 2,
        "request_id": second["request_id"],
        "duration_ms": answer["duration_ms"],
    }
    wait_until(lambda: not service.works(first), "the old key's death")
    wait_until(lambda: not service.record()["retiring"], "the proof of it")
    assert service.living() == {second["access_key"]}
    assert service.works(second)
    _the_old_version_is_destroyed(service)


def _the_old_version_is_destroyed(service: Service) -> None:
    metadata = service.vault.secrets.kv.v2.read_secret_metadata(path=service.path)["data"]["versions"]
    assert [metadata[version]["destroyed"] for version in ("1", "2")] == [True, False]


def test_the_old_key_works_until_its_grace_is_over(service: Service) -> None:
    service.grace = "400d"
    service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    first = service.published()
    assert first is not None
    service.rotate()
    service.rotate()
    assert service.works(first)
    assert len(service.living()) == 3
    assert [key["state"] for key in _status(service)["retiring"]] == ["waiting", "waiting"]


def test_a_request_id_is_traced_after_redis_was_wiped(service: Service) -> None:
    worker = service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    first = service.published()
    assert first is not None
    service.rotate()
    retired = worker.wait_for("key.dead")
    before = {identifier: _trace(service, identifier) for identifier in (first["request_id"], retired["request_id"])}
    service.redis.flushdb()
    for identifier, trace in before.items():
        assert _trace(service, identifier) == trace
        assert first["access_key"] in json.dumps(trace)
    service.rotate()


def test_rotation_on_schedule(service: Service) -> None:
    service.every = "2s"
    worker = service.start()
    worker.wait_for("rotation.succeeded", 3)
    worker.wait_for("key.dead", 1)
    assert {event["trigger"] for event in worker.events("rotation.started")} == {"schedule"}


def test_another_app_asks_by_name_and_a_message_delivered_twice_counts_once(service: Service) -> None:
    worker = service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    other = Celery(broker=service.redis_url_of("app", APP_PASSWORD), set_as_current=False)
    other.conf.task_default_queue = QUEUE
    for _ in range(2):
        other.send_task("rotator.rotate", args=[service.target], kwargs={"reason": "asked"}, task_id="one-request")
    worker.wait_for("rotation.succeeded", 2)
    other.send_task("rotator.rotate", args=[service.target], task_id="one-request")
    other.send_task("rotator.rotate", args=["no-such-target"], kwargs={"reason": "canary-in-arguments"})
    other.send_task("rotator.unheard-of", args=["canary-in-arguments"])
    worker.wait_for("task.refused")
    worker.wait_for("task.unknown")
    assert len(service.made()) == 2
    assert "canary-in-arguments" not in worker.log.read_text()


def test_requests_while_a_rotation_is_under_way_join_it(service: Service) -> None:
    service.verify_within = "1h"
    service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    service.sandbox.simulator.admin.behave(spread=3600.0)
    for _ in range(3):
        assert service.rotator("rotate", service.target).returncode == 0
        wait_until(lambda: service.record()["rotation"] is not None, "a rotation to be under way")
    assert len(service.record()["requests"]) == 3
    service.sandbox.simulator.admin.behave(spread=0.0)
    wait_until(lambda: not service.record()["requests"], "all requests to be served")
    assert len(service.made()) == 2


def test_two_workers_with_two_beats_make_one_key(service: Service) -> None:
    workers = [service.start(), service.start()]
    wait_until(lambda: service.published() is not None, "the first key")
    service.rotate()
    for worker in workers:
        assert worker.stop() == 0
    assert len(service.made()) == 2


def test_no_secret_comes_out(service: Service) -> None:
    worker = service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    service.rotate()
    worker.wait_for("key.dead")
    said = service.everything_said() + "".join(
        service.rotator(*command).stdout + service.rotator(*command).stderr
        for command in (["status"], ["history", service.target], ["check"], ["audit"])
    )
    assert service.target in said
    assert [secret for secret in service.secrets() if secret in said] == []
    assert "secret_key" not in json.dumps(service.record())


def _status(service: Service) -> dict[str, list[dict[str, str]]]:
    done = service.rotator("status", service.target, "--json")
    assert done.returncode == 0, done.stderr
    [status] = json.loads(done.stdout)
    return dict(status)


def _trace(service: Service, identifier: str) -> object:
    done = service.rotator("trace", identifier, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_settings_say_how_much_is_logged_and_in_which_form(service: Service, tmp_path: Path) -> None:
    def log(settings: str) -> str:
        config = tmp_path / "log.toml"
        service.environment()
        config.write_text((tmp_path / "rotator.toml").read_text("utf-8") + f"[log]\n{settings}\n")
        worker = service.run_worker("worker.cli", "worker", "--config", str(config))
        wait_until(lambda: bool(service.redis.zcard(WORKERS)), "a worker shows itself")
        assert worker.stop() == 0
        return worker.log.read_text("utf-8")

    assert "worker.started" not in log('level = "error"')
    text = log('format = "text"')
    assert "worker.started" in text
    assert '"event"' not in text
