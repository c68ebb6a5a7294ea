"""What stands still is shown, with its reason, since when and until when; a person may have it tried at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner, Result

from tests.doubles import MemoryClock, MemoryHostUp
from tests.integration.scene import LIMITED, LIMITS, Scene, scene_on
from tests.records import MINUTE, NOW, current, empty
from tests.unit.settings.configuring import ENV
from worker.adapters.redis.account import Account
from worker.adapters.redis.state import SharedState
from worker.cli import check_hostup, check_targets
from worker.cli.commands import app
from worker.cli.held import held_text
from worker.cli.rotate import _say_what_it_waits_for, _skip_pauses
from worker.clock import SystemClock
from worker.errors import HostUpCall, HostUpUncertain
from worker.rotation.changes.rotation import failed
from worker.rotation.decide import Begin, decide
from worker.rotation.reconcile import accept, reconcile
from worker.rotation.record import Record, Request
from worker.sandbox.servers import ValkeyServer

HOUR = timedelta(hours=1)


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    return scene_on(tmp_path, client, server, Record(target="media", path="apps/media", current=current()))


def _open(client: redis.Redis, clock: MemoryClock) -> None:
    account = Account(client, MemoryHostUp(), clock, LIMITS)
    for _ in range(3):
        account.failed(HostUpUncertain("no answer", HostUpCall("create_key"), hint="Wait.", request_id="request-5"))


def _limit(client: redis.Redis, clock: MemoryClock) -> None:
    Account(client, MemoryHostUp(), clock, LIMITS).failed(LIMITED)


def _env(scene: Scene) -> dict[str, str]:
    return {**ENV, "ROTATOR_CONFIG": str(scene.config), "REDIS_URL": scene.runtime.settings.redis_url.reveal()}


def _rotator(scene: Scene, *arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="rotator", env=_env(scene))


def test_the_command_shows_and_closes_the_circuit(scene: Scene, client: redis.Redis, shared: SharedState) -> None:
    assert "Nothing is held back" in _rotator(scene, "circuit").stdout
    clock = MemoryClock(SystemClock().now())
    _open(client, clock)
    _limit(client, clock)
    shown = _rotator(scene, "circuit")
    assert shown.exit_code == 0
    assert "every call to HostUp is held back since" in shown.stdout
    assert "no answer (requestId request-5)" in shown.stdout or "too many" in shown.stdout
    assert "creating keys is held back since" in shown.stdout
    document = json.loads(_rotator(scene, "circuit", "--json").stdout)
    assert [held["operation"] for held in document["held"]] == ["every call", "create_key"]
    assert all(held["since"] and held["until"] and held["why"] for held in document["held"])
    assert document["closed"] is False
    assert json.loads(_rotator(scene, "circuit", "--close", "--json").stdout)["closed"] is True
    assert "Nothing is held back" in _rotator(scene, "circuit").stdout
    assert shared.circuit.held(clock.now()) == ()


def test_what_was_done_is_not_called_safe_to_repeat_when_it_cannot_be_written(
    scene: Scene, client: redis.Redis, shared: SharedState
) -> None:
    now = SystemClock().now()
    _limit(client, MemoryClock(now))
    done = subprocess.run(
        ["/bin/sh", "-c", f'exec "{sys.executable}" -m worker.cli circuit --close >/dev/full'],
        env={**ENV, **_env(scene), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "What the command did before stays done" in done.stderr
    assert "again" not in done.stderr
    assert shared.circuit.held(now) == (), "it was done"


def test_it_tells_since_when_until_when_and_why(scene: Scene, client: redis.Redis, shared: SharedState) -> None:
    _open(client, scene.clock)
    (held,) = shared.circuit.held(NOW)
    text = held_text(held, NOW)
    for part in ("2026-11-24 12:00:00 UTC (0 s ago)", "until 2026-11-24 12:00:0", "3 failures in a row", "no answer"):
        assert part in text


def test_check_does_not_call_a_held_account_well(scene: Scene, client: redis.Redis) -> None:
    _limit(client, scene.clock)
    verdicts = {verdict.check: verdict for verdict in check_hostup.look(scene.runtime)}
    assert verdicts["calls to HostUp"].state == "warning"
    assert "creating keys is held back" in verdicts["calls to HostUp"].detail
    assert "rotator circuit --close" in verdicts["calls to HostUp"].hint


@pytest.mark.parametrize("trouble", ["failing", "waiting", "late"])
def test_check_does_not_call_a_target_well_that_stands_still(scene: Scene, trouble: str) -> None:
    store = scene.runtime.services.store
    if trouble == "failing":
        scene.change(lambda known: failed(known, LIMITED, NOW, NOW + HOUR, operation="begin"))
    elif trouble == "waiting":
        scene.change(lambda known: failed(known, LIMITED, NOW, NOW + 2 * HOUR, operation="begin"))
        accept(scene.runtime.services, scene.target, Request(id="r", reason="", at=NOW))
        scene.clock.time += HOUR
    else:
        scene.clock.time += timedelta(days=31)
    assert store.load("media", "apps/media").record.current
    verdicts = list(check_targets.look(scene.runtime, keys=False))
    state = "failed" if trouble == "late" else "warning"
    assert any(verdict.check == "target media" and verdict.state == state for verdict in verdicts)
    assert verdicts[-1].detail.startswith("0 of 1 are well")


def test_a_new_target_is_no_trouble(scene: Scene) -> None:
    scene.change(lambda known: replace(known, current=None))
    assert [verdict.check for verdict in check_targets.look(scene.runtime, keys=False)] == ["targets"]


def test_a_healthy_target_has_no_line(scene: Scene) -> None:
    assert [verdict.check for verdict in check_targets.look(scene.runtime, keys=False)] == ["targets"]


def test_the_wait_of_a_look_says_why(scene: Scene, client: redis.Redis) -> None:
    _open(client, scene.clock)
    accept(scene.with_account(client).services, scene.target, Request(id="r", reason="", at=NOW))
    found = reconcile(scene.with_account(client).services, scene.target)
    assert found.wait.until > NOW
    assert found.wait.why == "the next try of a rotation: HostUp has failed too often in a row"


def test_a_person_is_shown_until_when_it_waits(
    scene: Scene, client: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    _limit(client, scene.clock)
    scene.change(lambda known: failed(known, LIMITED, NOW, NOW + MINUTE, operation="begin"))
    _say_what_it_waits_for(scene.runtime, scene.record())
    shown = capsys.readouterr().err
    assert "the next try is 2026-11-24 12:01:00 UTC (in 1 min)" in shown
    assert "creating keys is held back" in shown
    assert shown.count("--now-anyway") == 2


def test_now_anyway_skips_the_pause_once(scene: Scene, client: redis.Redis, shared: SharedState) -> None:
    _open(client, scene.clock)
    scene.change(lambda known: failed(known, LIMITED, NOW, NOW + HOUR, operation="begin"))
    record = accept(scene.runtime.services, scene.target, Request(id="r", reason="leaked", at=NOW))
    assert not isinstance(decide(record, NOW + HOUR, NOW, {}), Begin), "HostUp's own pause holds requests, too"
    record = _skip_pauses(scene.runtime, scene.target)
    assert isinstance(decide(record, NOW + HOUR, NOW, {}), Begin)
    assert record.failure
    assert record.failure.count == 1, "what fails again waits longer"
    assert shared.circuit.held(NOW) == ()


def test_without_a_failure_nothing_is_written_for_it(scene: Scene) -> None:
    before = scene.runtime.services.vault.read("hostup-rotator/state/media").version
    _skip_pauses(scene.runtime, scene.target)
    assert scene.runtime.services.vault.read("hostup-rotator/state/media").version == before
    assert empty().failure is None
