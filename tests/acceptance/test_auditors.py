"""Evidence, the inbox, the plan and the rest, beside workers that really rotate; what --json prints fits its schema."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.service import Service
from tests.acceptance.test_operators import described
from tests.forms import fits
from tests.sandbox import wait_until
from worker.sandbox.simulator.faults import fault
from worker.targets.receipts import Receipt, encode


def said(service: Service, *arguments: str, code: int = 0) -> Any:
    done = service.rotator(*arguments, "--json")
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout)


@pytest.fixture
def rotated(service: Service) -> Service:
    """Three keys, the first two of them dead."""
    worker = service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    for number in (1, 2):
        service.rotate()
        worker.wait_for("key.dead", number)
    return service


def test_what_the_older_commands_print_fits_their_schemas(rotated: Service) -> None:
    target, key = rotated.target, rotated.made()[0]
    looking = (("check",), ("audit",), ("history", target), ("trace", key), ("find", key), ("circuit",))
    for name, *arguments in (*looking, ("status",), ("status", "--fresh"), ("status", target), ("repair", target)):
        fits(said(rotated, name, *arguments), name)
    for options in (("--wait",), ("--wait", "--leaked", "--yes"), ()):
        fits(said(rotated, "rotate", target, *options), "rotate")


def test_the_report_says_what_hostup_did(rotated: Service) -> None:
    report = said(rotated, "report", "--format", "json")
    fits(report, "report")
    ledger = rotated.sandbox.simulator.admin.ledger(rotated.since)
    answers = {entry["call"]: entry["request_id"] for entry in ledger if entry["kind"] == "answer"}
    effects = [entry for entry in ledger if entry["kind"] == "effect" and entry.get("call")]
    made = {e["access_key"]: answers[e["call"]] for e in effects if e["operation"] == "create"}
    gone = {e["access_key"]: answers[e["call"]] for e in effects if e["operation"] == "delete"}
    keys = {key["access_key"]: key for key in report["keys"]}
    assert {name: key["create_request_id"] for name, key in keys.items()} == made
    assert {name: key["delete_request_id"] for name, key in keys.items() if key["delete_request_id"]} == gone
    assert sorted(key["state"] for key in keys.values()) == ["current", "dead", "dead"]
    assert report["totals"]["succeeded"] == report["totals"]["rotations"] == 3
    assert report["targets"][0]["history_holds"]
    assert report["targets"][0]["history_chain"].startswith("whole from entry 1")
    assert [each["trigger"] for each in report["rotations"]] == ["schedule", "manual", "manual"]
    rows = list(csv.DictReader(io.StringIO(rotated.rotator("report", "--format", "csv").stdout)))
    assert [row["access_key"] for row in rows if row["row"] == "key"] == list(keys)
    page = rotated.rotator("report").stdout
    assert page.startswith("<!doctype html>")
    assert all(f"<code>{name}</code>" in page for name in keys)
    nothing = said(rotated, "report", "--format", "json", "--to", "2020-01-01")
    assert nothing["keys"] == nothing["rotations"] == []


@pytest.mark.parametrize("given", [("--from", "soon"), ("--from", "2030-01-01"), ("--format", "pdf")])
def test_a_report_that_cannot_be_made_is_a_matter_of_usage(service: Service, given: tuple[str, str]) -> None:
    assert service.rotator("report", *given).returncode == 2


def test_a_proof_is_made_from_vault_and_checked_without_it(rotated: Service, tmp_path: Path) -> None:
    dead = rotated.made()[0]
    done = rotated.rotator("prove", dead)
    assert done.returncode == 0, done.stderr
    fits(json.loads(done.stdout), "prove")
    file = tmp_path / "proof.json"
    file.write_text(done.stdout)
    alone = {"PATH": os.environ["PATH"]}
    checked = check(file, alone)
    assert checked.returncode == 0, checked.stderr
    verdict = json.loads(checked.stdout)
    fits(verdict, "prove-check")
    assert verdict["facts"]["state"] == "dead"
    log = rotated.workers[0].log.read_text("utf-8")
    assert verdict["head"]["hash"] in log, "a log collector has the head, too"
    file.write_text(done.stdout.replace(dead, dead[::-1]))
    spoiled = check(file, alone)
    assert spoiled.returncode == 1
    fits(json.loads(spoiled.stdout), "prove-check")
    assert rotated.rotator("prove", "NOSUCHKEY").returncode == 1
    assert rotated.rotator("prove").returncode == 2


def check(file: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.cli", "prove", "--check", str(file), "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_audit_finds_a_history_that_somebody_changed(rotated: Service) -> None:
    before = said(rotated, "audit")
    assert [(chain["target"], chain["holds"]) for chain in before["chains"]] == [(rotated.target, True)]
    for worker in rotated.workers:
        worker.stop()
    path = f"{rotated.state}/{rotated.target}"
    kv = rotated.vault.secrets.kv.v2
    version = kv.read_secret_version(path=path, raise_on_deleted_version=True)["data"]["metadata"]["version"]
    record = rotated.record()
    record["history"][2] = record["history"][2].replace("key.verified", "key.adopted")
    kv.create_or_update_secret(path=path, secret=record, cas=version)
    after = said(rotated, "audit", code=1)
    assert "chain" in {finding["kind"] for finding in after["findings"]}
    waiting = said(rotated, "inbox", code=1)
    fits(waiting, "inbox")
    assert [each["command"] for each in waiting["waiting"]] == [f"rotator accept-chain {rotated.target} --reason WHY"]
    refused = rotated.rotator("accept-chain", rotated.target, "--reason", "a restore")
    assert (refused.returncode, "entry 3: it, or" in refused.stderr) == (2, True), "nobody can be asked"
    assert rotated.rotator("accept-chain", rotated.target, "--yes").returncode == 2, "without a reason"
    words = ("accept-chain", rotated.target, "--reason", "a restore", "--as", "alice", "--yes")
    done = said(rotated, *words)
    assert done.keys() == described("key of `rotator accept-chain`", "evidence.md")
    assert (done["done"], [each["number"] for each in done["breaks"]]) == (True, [3])
    assert said(rotated, *words)["done"] is False, "there is nothing left to accept"
    (chain,) = said(rotated, "audit")["chains"]
    assert (chain["holds"], "accepted by alice" in chain["words"]) == (True, True)
    assert said(rotated, "inbox") == {"waiting": []}
    report = said(rotated, "report", "--format", "json")
    assert "but for the break at entry 3, accepted by alice" in report["targets"][0]["history_chain"]
    assert ("chain.accepted", "a restore") in [(each["kind"], each["reason"]) for each in report["exceptions"]]
    file = rotated.folder / "proof.json"
    file.write_text(rotated.rotator("prove", rotated.made()[0]).stdout)
    fits(json.loads(file.read_text()), "prove")
    checked = check(file, {"PATH": os.environ["PATH"]})
    assert checked.returncode == 0
    verdict = json.loads(checked.stdout)
    fits(verdict, "prove-check")
    assert "accepted by alice" in verdict["accepted"][0]


def test_the_inbox_is_empty_until_an_answer_is_lost(rotated: Service) -> None:
    empty = said(rotated, "inbox")
    fits(empty, "inbox")
    assert empty == {"waiting": []}
    rotated.sandbox.simulator.admin.order(fault("cut-after", "create"))
    assert rotated.rotator("rotate", rotated.target, "--wait").returncode == 1
    wait_until(lambda: len(rotated.made()) == 5 and not rotated.record()["requests"], "the key of the second try")
    full = said(rotated, "inbox", code=1)
    fits(full, "inbox")
    open_create = rotated.record()["unconfirmed_creates"][0]
    commands = [each["command"] for each in full["waiting"]]
    assert commands == [f"rotator settle {rotated.target} {open_create['rotation_id']} --revoke ACCESS_KEY"]
    lost = rotated.made()[3]
    words = commands[0].replace("ACCESS_KEY", lost).split()[1:]
    assert rotated.rotator(*words).returncode == 0, "the command settles it as it stands there"
    assert said(rotated, "inbox") == {"waiting": []}


def test_the_plan_names_what_comes_and_changes_nothing(rotated: Service) -> None:
    before = rotated.record()
    planned = said(rotated, "plan", rotated.target, "--days", "400")
    fits(planned, "plan")
    assert rotated.record() == before
    assert planned["obstacles"] == []
    assert planned["calls"][5]["path"] == "/api/object-storage/keys"
    ics = rotated.rotator("plan", "--days", "400", "--ics").stdout
    assert ics.count("BEGIN:VEVENT") == len(planned["calendar"])
    rotated.vault.secrets.kv.v2.create_or_update_secret(path=rotated.path, secret={"access_key": "SOMEBODYELSES"})
    blocked = said(rotated, "plan", rotated.target, code=1)
    fits(blocked, "plan")
    assert any("did not write" in each["what"] for each in blocked["obstacles"])
    calendar = rotated.rotator("plan", rotated.target, "--ics")
    assert (calendar.returncode, "did not write" in calendar.stderr) == (1, True)
    assert calendar.stdout.startswith("BEGIN:VCALENDAR")


def test_top_names_who_says_that_he_still_uses_an_old_key(service: Service) -> None:
    service.grace = "1d"
    service.start().wait_for("rotation.succeeded")
    old = service.published()
    assert old
    new = service.rotate()["access_key"]
    moment = datetime.now(UTC)

    def receipt(key: str, seen: datetime) -> str:
        return encode(Receipt("", key, 1, "r", seen, seen))

    receipts = {
        "shop-1 pid 7": receipt(old["access_key"], moment),
        "shop-2": receipt(new, moment),
        "gone": receipt(old["access_key"], moment - timedelta(hours=2)),
        "spoiled": "x",
    }
    path = f"hostup-rotator/receipts/{service.path}"
    service.vault.secrets.kv.v2.create_or_update_secret(path=path, secret=receipts)
    wait_until(lambda: said(service, "top")["old_keys"] != [], "the old key is known")
    shown = said(service, "top")
    fits(shown, "top")
    (row,) = shown["old_key_readers"]
    assert (row["target"], row["what"]) == (service.target, f"shop-1 pid 7 uses {old['access_key']}")
    assert "shop-1 pid 7 uses" in service.rotator("top").stdout


def test_top_without_a_terminal_is_one_picture(rotated: Service) -> None:
    now = said(rotated, "top")
    fits(now, "top")
    assert [row["target"] for row in now["next"]] == [rotated.target]
    plain = rotated.rotator("top").stdout
    assert plain.startswith("1 targets at ")
    assert "\x1b" not in plain


@pytest.mark.parametrize(("key", "code"), [(b"q", 0), (b"\x03", 130)], ids=["q", "Ctrl-C"])
def test_top_on_a_terminal_ends_at_once_and_leaves_it_as_it_was(rotated: Service, key: bytes, code: int) -> None:
    mine, its = pty.openpty()
    before = termios.tcgetattr(its)
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", "top"],
        env=rotated.environment() | {"TERM": "xterm", "COLUMNS": "60", "LINES": "24"},
        stdin=its,
        stdout=its,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    seen = b""
    while rotated.target.encode() not in seen:
        seen += os.read(mine, 4096)
    if key == b"\x03":
        process.send_signal(signal.SIGINT)  # it is not this terminal's foreground process, so that no key is a signal
    else:
        os.write(mine, key)
    os.set_blocking(mine, False)
    wait_until(lambda: _drained(mine, process), "the end of top")
    assert process.returncode == code
    assert termios.tcgetattr(its) == before
    os.close(mine)
    os.close(its)


def _drained(terminal: int, process: subprocess.Popen[bytes]) -> bool:
    with suppress(BlockingIOError):
        os.read(terminal, 65536)
    return process.poll() is not None


def test_a_reader_that_goes_away_is_no_error(rotated: Service) -> None:
    for arguments in ("report --format csv", "plan", "top", "inbox", f"prove {rotated.made()[0]}"):
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {sys.executable} -m worker.cli {arguments} | true"],
            env=rotated.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        assert done.stderr == ""
