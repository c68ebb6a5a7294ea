"""``rotator pause --all``, ``find`` and who asked, beside records that cannot be used and services that are away."""

from __future__ import annotations

import getpass
import json
import socket
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from tests.integration.scene import Scene, runtime_with, scene_on, scheduled
from tests.records import DAY, NOW, current, empty, request, retiring
from tests.unit.settings.configuring import TARGET, read
from worker.cli.asking import moment_of
from worker.cli.pausing import Which, pause, reschedule, resume
from worker.cli.who import asker
from worker.errors import UsageError, VaultUnavailable
from worker.rotation.reconcile import accept
from worker.rotation.record import Paused
from worker.sandbox.servers import ValkeyServer

OTHER = TARGET.replace('"media"', '"other"').replace("apps/media", "apps/other")


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    """Two targets."""
    made = scene_on(tmp_path, client, server, replace(empty(), current=current()))
    settings = read(tmp_path, TARGET + OTHER, env={"REDIS_URL": server.url.reveal()})
    parts = made.runtime
    return replace(made, runtime=runtime_with(settings, parts.services, parts.shared, parts.vault, made.clock))


def pause_all(scene: Scene) -> int:
    return pause(scene.options(), Which(None, every=True), reason="x", until=None, by="alice")


def test_one_record_that_cannot_be_read_does_not_keep_the_others_from_it(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = scene.runtime.services.vault
    vault.write("hostup-rotator/state/other", {"garbage": True}, 0)
    assert pause_all(scene) == 1
    said = capsys.readouterr()
    found = {each["target"]: each["done"] for each in json.loads(said.out)}
    assert found == {"media": "paused", "other": "failed"}
    assert "cannot be read" in said.err
    assert scene.record().paused


def test_it_may_be_run_again_after_vault_went_away_in_the_middle(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = scene.runtime.services.vault
    write = vault.write

    def away(path: str, data: object, cas: int) -> object:
        if path.endswith("/other"):
            raise VaultUnavailable("no answer", operation="write", path=path)
        return write(path, data, cas)  # type: ignore[arg-type]  # it is passed on

    vault.write = away  # type: ignore[method-assign,assignment]  # a Vault that goes away
    with pytest.raises(VaultUnavailable) as caught:
        pause_all(scene)
    assert "1 of 2 records were changed" in caught.value.hint
    vault.write = write  # type: ignore[method-assign]  # it is back
    before = scene.record()
    assert pause_all(scene) == 0
    assert scene.record() == before, "what was changed already stays as it is"
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert scheduled(scene.shared) >= {"media", "other"}


def test_neither_a_target_nor_all_of_them_is_no_choice(scene: Scene) -> None:
    for which in (Which(None, every=False), Which("media", every=True)):
        with pytest.raises(UsageError, match="name one target, or say --all"):
            resume(scene.options(), which, by="")
    with pytest.raises(UsageError, match="--as-scheduled"):
        reschedule(scene.options(), "media", at=None, as_scheduled=False, by="")


@pytest.mark.parametrize("text", ["2026-12-01T03:00", "tomorrow", "2026-11-24T11:59Z", "9999-01-01T00:00Z", "", "-1h"])
def test_a_moment_needs_an_offset_and_has_to_come(text: str) -> None:
    with pytest.raises(UsageError):
        moment_of("--at", text, NOW)


def test_a_moment_may_be_how_long_from_now() -> None:
    assert moment_of("--at", "12h", NOW) == NOW + timedelta(hours=12)
    assert moment_of("--at", "2026-11-25T13:00+01:00", NOW) == NOW + DAY


def test_who_asks_is_the_user_that_the_kernel_knows_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = getpass.getuser()
    monkeypatch.setenv("LOGNAME", "mallory")
    monkeypatch.setenv("USER", "mallory")
    assert asker("") != f"mallory@{socket.gethostname()}"
    assert asker("").endswith(f"@{socket.gethostname()}"[:60])
    assert asker("  ops bot ") == "ops bot"
    assert known
    with pytest.raises(UsageError, match="longer than 100"):
        asker("x" * 101)


def test_a_pause_outlives_a_rotation_and_a_request_says_what_it_waits_for(scene: Scene) -> None:
    assert pause_all(scene) == 0
    scene.change(lambda record: replace(record, retiring=(retiring(after=DAY),)))
    record = accept(scene.runtime.services, scene.target, request("one", NOW), "bob")
    assert record.paused == Paused(at=NOW, by="alice", reason="x")
    assert [entry.facts.get("by") for entry in record.history.entries()] == ["alice", "bob"]
