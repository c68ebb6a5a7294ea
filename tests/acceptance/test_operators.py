"""What people ask for, on real workers: a leak, a rollback, pauses, freezes, and who it was."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery

from tests.acceptance.service import APP_PASSWORD, Service, Worker
from tests.acceptance.test_command import run, secret
from tests.docs.pages import codes, page
from tests.forms import fits
from tests.sandbox import wait_until
from worker.sandbox.simulator.faults import fault
from worker.settings.settings import QUEUE


@pytest.fixture
def worker(service: Service) -> Worker:
    """A worker that has published the target's first key, and then a second one; grace is long."""
    service.grace = "1d"
    started = service.start()
    started.wait_for("rotation.succeeded")
    service.rotate()
    return started


def described(head: str, name: str = "operators.md") -> set[str]:
    """The keys that a page names in one of its tables."""
    return {codes(row[0])[0] for row in page(name).table(head)}


def send(service: Service, **said: object) -> None:
    app = Celery(broker=service.redis_url_of("app", APP_PASSWORD), set_as_current=False)
    app.send_task("rotator.rotate", kwargs={"target": service.target, **said}, queue=QUEUE)
    app.close()


def test_a_leaked_key_is_dead_at_once_and_its_name_tells_whose_it_was(service: Service, worker: Worker) -> None:
    old = secret(service)
    asked = run(service, "rotate", service.target, "--leaked", "--wait")
    assert (asked.code, "Nothing was changed" in asked.err, old["access_key"] in asked.err) == (2, True, True)
    assert service.works(old)

    done = run(service, "rotate", service.target, "--leaked", "--wait", "--yes", "--as", "alice", "--json")
    assert done.code == 0, done.err
    assert "fails until it has read the new key" in done.err
    assert done.json.keys() >= described("key of a leak")
    assert done.json["dead_seconds"].keys() == set(service.made()) - service.living()
    assert old["access_key"] in done.json["dead_seconds"]
    assert not service.works(old)
    assert service.living() == {secret(service)["access_key"]}

    found = run(service, "find", old["access_key"], "--json").json
    assert found.keys() == described("key of `rotator find`")
    assert (found["target"], found["state"], found["request_id"]) == (service.target, "dead", old["request_id"])
    assert found["dead_at"]
    assert found["delete_request_id"]
    assert run(service, "find", secret(service)["access_key"], "--json").json["state"] == "current"
    assert run(service, "find", "NEVERHEARDOF").code == 1
    assert "by alice" in run(service, "trace", done.json["rotation_id"]).out
    assert "(by alice)" in run(service, "history", service.target).out
    assert worker.events("rotation.started")[-1]["by"] == "alice"


def test_without_a_new_key_the_old_one_dies_only_by_a_persons_word(service: Service, worker: Worker) -> None:
    old = secret(service)
    service.sandbox.simulator.admin.order(replace(fault("problem-422", "create"), times=-1))
    try:
        failed = run(service, "rotate", service.target, "--leaked", "--wait", "--yes")
        assert (failed.code, "NOT deleted" in failed.err) == (1, True)
        assert service.works(old)
        assert run(service, "rotate", service.target, "--even-without-a-new-one").code == 2
        words = ("rotate", service.target, "--leaked", "--yes", "--even-without-a-new-one", "--json")
        revoked = run(service, *words)
        assert (revoked.code, revoked.json["outcome"], revoked.json["access_key"]) == (0, "revoked", old["access_key"])
        assert revoked.json.keys() == described("key of a key that is revoked")
        fits(revoked.json, "rotate")
        assert not service.works(old)
        assert service.living() == set(), "those in their grace were named in the warning, too"
        assert revoked.json["dead_seconds"].keys() == set(service.made())
        assert all(seconds is not None for seconds in revoked.json["dead_seconds"].values())
        assert {entry["access_key"] for entry in worker.events("key.dead")} == set(service.made())
        assert "rotator find" not in revoked.err
        assert run(service, "find", old["access_key"], "--json").json["state"] == "dead"
    finally:
        service.sandbox.simulator.admin.clear()
    run(service, "rotate", service.target, "--wait", "--now-anyway")
    wait_until(lambda: service.works(secret(service)), "a key that works")


@pytest.mark.parametrize("allowed", [False, True])
def test_a_message_ends_the_grace_only_where_that_is_allowed(service: Service, *, allowed: bool) -> None:
    service.grace, service.settings = "1d", "leaked_by_message = true" if allowed else ""
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    old = secret(service)
    send(service, reason="found by a scanner", by="scanner\x1b[2J", leaked=True)
    worker.wait_for("rotation.succeeded", 2)
    started = worker.events("rotation.started")[-1]
    assert started["by"].startswith("message scanner\\x1b")
    if allowed:
        worker.wait_for("key.dead")
        assert not service.works(old)
    else:
        worker.wait_for("leak.reported")
        assert service.works(old)
        found = run(service, "inbox", "--json")
        assert (found.code, old["access_key"] in found.json["waiting"][0]["what"]) == (1, True)
        assert [each["command"] for each in found.json["waiting"]] == [f"rotator rotate {service.target} --leaked"]


def test_a_header_of_a_message_says_who_asked_wherever_that_is_shown(service: Service, worker: Worker) -> None:
    before = len(worker.events("rotation.succeeded"))
    app = Celery(broker=service.redis_url_of("app", APP_PASSWORD), set_as_current=False)
    app.send_task("rotator.rotate", args=[service.target], headers={"rotator_by": "ci\x1b[2J run 7"}, queue=QUEUE)
    app.close()
    worker.wait_for("rotation.succeeded", before + 1)
    by = "message ci\\x1b[2J run 7"
    started = worker.events("rotation.started")[-1]
    assert started["by"] == by
    assert f"(by {by})" in run(service, "history", service.target).out
    assert f"by {by}" in run(service, "trace", started["rotation_id"]).out
    assert run(service, "report", "--format", "json").json["rotations"][-1]["by"] == by


def test_a_pause_holds_requests_back_and_everybody_says_so(service: Service, worker: Worker) -> None:
    paused = run(service, "pause", service.target, "--reason", "moving", "--as", "bob", "--json")
    assert paused.code == 0
    keys = described("key of `rotator pause`, `rotator resume`, `rotator reschedule`")
    assert [set(each) for each in paused.json] == [keys]
    asked = run(service, "rotate", service.target, "--wait", "--timeout", "1s")
    assert (asked.code, "bob" in asked.err, "moving" in asked.err) == (75, True, True)
    assert "by bob" in run(service, "status", service.target).out
    status = run(service, "status", service.target, "--json").json
    fits(status, "status")
    assert status[0]["paused"]["reason"] == "moving"
    assert "paused by bob" in run(service, "status", "--fresh").out
    looked = run(service, "check")
    assert (looked.code, "the pause by bob" in looked.out) == (0, True)
    audited = run(service, "audit", "--json")
    assert [each["kind"] for each in audited.json["findings"]] == ["paused"]
    before = len(worker.events("rotation.succeeded"))
    leaked = run(service, "rotate", service.target, "--leaked", "--wait", "--yes")
    assert (leaked.code, "overrides the pause by bob" in leaked.err) == (0, True)
    assert "the pause by bob" in worker.events("rotation.started")[-1]["despite"]
    assert "by bob" in run(service, "status", service.target).out, "the pause goes on"
    assert run(service, "resume", "--all").code == 0
    service.rotate()
    assert len(worker.events("rotation.succeeded")) == before + 2
    assert run(service, "pause").code == run(service, "pause", service.target, "--all").code == 2
    assert run(service, "pause", service.target, "--until", "yesterday").code == 2


def test_a_rollback_makes_the_key_before_current_again(service: Service, worker: Worker) -> None:
    new = secret(service)
    done = run(service, "rollback", service.target, "--yes", "--reason", "lacks a bucket", "--json")
    assert done.code == 0, done.err
    assert done.json.keys() == described("key of `rotator rollback`")
    back = secret(service)
    assert (back["access_key"], back["version"]) == (done.json["access_key"], done.json["vault_version"])
    assert done.json["previous_access_key"] == new["access_key"]
    assert service.works(back)
    assert service.works(new)
    assert "rollback: lacks a bucket" in run(service, "history", service.target).out
    assert run(service, "audit").code == 0
    service.vault.secrets.kv.v2.destroy_secret_versions(service.path, versions=[new["version"]])
    refused = run(service, "rollback", service.target, "--yes")
    assert (refused.code, "destroyed" in refused.err) == (2, True)
    assert secret(service) == back
    assert worker.stop() == 0


def test_in_a_freeze_only_what_is_asked_for_begins_and_a_manual_target_waits_for_people(service: Service) -> None:
    begins, ends = datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(days=1)
    service.tables = f'[[freeze]]\nfrom = {begins.isoformat()}\nto = {ends.isoformat()}\nreason = "Black Friday"\n'
    worker = service.start()
    worker.wait_for("worker.started")
    waits = run(service, "status", service.target, "--fresh").out
    assert f"{ends:%Y-%m-%d}" in waits
    service.rotate()
    assert len(worker.events("rotation.started")) == 1
    worker.stop()
    service.tables, service.every = "", "never"
    manual = service.start()
    manual.wait_for("worker.started")
    assert "when asked for" in run(service, "status", service.target).out
    assert run(service, "check").code == 0
    assert run(service, "audit").code == 0
    assert run(service, "reschedule", service.target, "--at", "1s").code == 0
    manual.wait_for("rotation.succeeded")
    assert service.record().get("next_at") is None


def at_a_terminal(service: Service, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """The command with a terminal as its stdin, and the other end of that."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", *arguments],
        env=service.environment(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    return process, ours


def asked(process: subprocess.Popen[bytes]) -> str:
    """What it said until it asks."""
    said = b""
    while b"[y/N]" not in said and (byte := process.stderr.read(1) if process.stderr else b""):
        said += byte
    return said.decode()


def interrupt(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C, and once more where it came in the moment before the terminal is read, in which Python loses it."""
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)
            return


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0), ("", 130)])
def test_it_asks_and_takes_an_answer(service: Service, worker: Worker, answer: str, code: int) -> None:
    old, before = secret(service), len(worker.events("rotation.started"))
    process, terminal = at_a_terminal(service, "rotate", service.target, "--leaked", "--wait")
    assert old["access_key"] in asked(process)
    if answer:
        os.write(terminal, answer.encode())
    else:
        interrupt(process)
    _, said = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == code
    assert b"Traceback" not in said
    assert service.works(old) is (code != 0)
    assert len(worker.events("rotation.started")) == before + (code == 0)
