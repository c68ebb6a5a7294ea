"""What stands still is shown, with its reason, since when and until when; a person may have it tried at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from tests.doubles import MemoryClock, MemoryHostUp
from tests.forms import fits
from tests.integration.scene import LIMITED, LIMITS, Scene, scene_on
from tests.records import MINUTE, NOW, current, empty, retiring
from tests.unit.settings.configuring import ENV
from worker.adapters.redis.account import Account
from worker.adapters.redis.circuit import HeldCalls
from worker.adapters.redis.reading import StoredRequest
from worker.adapters.redis.state import SharedState
from worker.cli import check_hostup, check_targets
from worker.cli.commands import app
from worker.cli.held import held_text
from worker.cli.rotate import _say_what_it_waits_for, _skip_pauses
from worker.cli.status import NEVER_WATCHED, _print_detail, _say_held, _trouble
from worker.clock import SystemClock
from worker.errors import HostUpCall, HostUpUncertain
from worker.rotation.changes.rotation import failed
from worker.rotation.decide import RETIRING_LIMIT, Begin, decide
from worker.rotation.reconcile import accept, reconcile
from worker.rotation.record import Record, Request
from worker.rotation.status import summarize
from worker.sandbox.servers import ValkeyServer
from worker.service.request import Asked
from worker.service.request import rotate as rotate_by_message
from worker.service.tick import tick

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
    fits(document, "circuit")
    assert [held["operation"] for held in document["held"]] == ["every call", "create_key"]
    assert all(held["since"] and held["until"] and held["why"] for held in document["held"])
    assert document["closed"] is False
    assert json.loads(_rotator(scene, "circuit", "--close", "--json").stdout)["closed"] is True
    assert "Nothing is held back" in _rotator(scene, "circuit").stdout
    assert shared.held(clock.now()) == ()


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
    assert shared.held(now) == (), "it was done"


def test_it_tells_since_when_until_when_and_why(scene: Scene, client: redis.Redis, shared: SharedState) -> None:
    _open(client, scene.clock)
    (held,) = shared.held(NOW)
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
    _say_what_it_waits_for(scene.runtime, scene.record(), "default")
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
    assert shared.held(NOW) == ()


def test_without_a_failure_nothing_is_written_for_it(scene: Scene) -> None:
    before = scene.runtime.services.vault.read("hostup-rotator/state/media").version
    _skip_pauses(scene.runtime, scene.target)
    assert scene.runtime.services.vault.read("hostup-rotator/state/media").version == before
    assert empty().failure is None


def _fill(scene: Scene) -> None:
    """So many keys retire that no further one is made."""
    keys = [replace(retiring(f"OLD{number}", HOUR + number * MINUTE), error="") for number in range(RETIRING_LIMIT)]
    scene.change(lambda known: replace(known, retiring=tuple(keys)))


def test_full_retiring_is_told_by_every_command(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """What is held back, by what, and until when."""
    _fill(scene)
    record = accept(scene.runtime.services, scene.target, Request(id="r", reason="", at=NOW))
    _say_what_it_waits_for(scene.runtime, record, "default")
    told = "20 keys are retiring, and hold a new request back until 2026-11-24T13:00:00+00:00 at the earliest"
    assert told in capsys.readouterr().err
    found = reconcile(scene.runtime.services, scene.target)
    assert found.wait.until == NOW + HOUR
    assert found.wait.why.startswith("one of 20 retiring keys to go, which hold a new key back")
    assert any(told in verdict.detail for verdict in check_targets.look(scene.runtime, keys=False))
    summary = summarize(found.record, found.due, found.wait) | NEVER_WATCHED
    assert told in _trouble(summary, NOW)
    _print_detail(summary)
    assert f"TROUBLE: {told}" in capsys.readouterr().out


def test_one_place_left_is_no_trouble(scene: Scene) -> None:
    _fill(scene)
    scene.change(lambda known: replace(known, retiring=known.retiring[1:]))
    record = accept(scene.runtime.services, scene.target, Request(id="r", reason="", at=NOW))
    assert isinstance(decide(record, NOW + HOUR, NOW, {}), Begin)


def test_a_message_beyond_the_limit_is_told_and_gone(scene: Scene, shared: SharedState) -> None:
    """It is not handed out again and again, and a person may still ask."""
    for number in range(scene.runtime.settings.worker.messages_per_hour):
        rotate_by_message(scene.runtime, "media", Asked(f"message-{number}"))
        assert f"message-{number}" in str(scene.record().served)
    with capture_logs() as logs:
        rotate_by_message(scene.runtime, "media", Asked("one-too-many"))
    (line,) = [line for line in logs if line["event"] == "task.refused"]
    assert line["next_at"] == (scene.record().asked[0] + HOUR).isoformat(timespec="seconds")
    assert shared.requests.all() == {}
    assert "one-too-many" not in str(scene.record())
    accept(scene.runtime.services, scene.target, Request(id="a person's", reason="", at=scene.clock.now()))
    assert scene.record().requests


def test_a_request_for_a_target_that_is_gone_is_dropped_with_a_word(scene: Scene, shared: SharedState) -> None:
    """At the next tick, and never handed out again."""
    shared.requests.keep("for-nothing", StoredRequest(target="gone", reason=""))
    shared.requests.keep("for-something", StoredRequest(target="media", reason=""))
    health = SimpleNamespace(sealed=False, initialized=True, leaderless=False)
    runtime = replace(scene.runtime, vault=SimpleNamespace(health=lambda: health))  # type: ignore[arg-type]  # as it is asked
    sent: list[str] = []
    with capture_logs() as logs:
        for _ in range(3):
            tick(runtime, lambda task, task_id, **_: sent.append(f"{task} {task_id}"))
    assert sent.count("rotator.rotate for-something") == 3
    assert not any("for-nothing" in each for each in sent)
    assert [line["request"] for line in logs if line["event"] == "task.refused"] == ["for-nothing"]


def test_what_is_held_on_a_second_account_is_seen_by_its_own_command(capsys: pytest.CaptureFixture[str]) -> None:
    held = HeldCalls("delete_key", NOW, NOW + HOUR, "no answer", account="media")
    _say_held([held, replace(held, account="default")])
    said = capsys.readouterr().err.splitlines()
    commands = [line.partition(". See ")[2] for line in said]
    assert commands == ["`rotator circuit --account media`.", "`rotator circuit`."]
