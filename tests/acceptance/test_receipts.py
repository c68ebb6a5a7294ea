"""A key that an app says it still uses outlives its grace, and a person sees who that is."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import hvac  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.acceptance.service import Service
from tests.forms import fits
from tests.sandbox import wait_until

RECEIPTS = "hostup-rotator/receipts"


def app_token(service: Service) -> str:
    """What an app gets: no right but those of its own policy."""
    printed = service.rotator("vault", "policy", "--app", service.target).stdout
    service.vault.sys.create_or_update_policy(service.target, printed)
    made = service.vault.auth.token.create(policies=[service.target], no_default_policy=True, ttl="1h")
    return str(made["auth"]["client_token"])


@contextmanager
def reading(service: Service, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A helper of an app that leaves receipts."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(service.folder),
        "VAULT_ADDR": service.sandbox.environment["VAULT_ADDR"],
        "VAULT_TOKEN": app_token(service),
    }
    command = [sys.executable, "-m", "worker.cli", *arguments, "--receipt", "--path", service.path]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def serving(service: Service) -> AbstractContextManager[subprocess.Popen[str]]:
    token_file = service.folder / "endpoint-token"
    return reading(service, "serve-credentials", "--listen", "127.0.0.1:0", "--token-file", str(token_file))


def receipts(service: Service) -> dict[str, Any]:
    path = f"{RECEIPTS}/{service.path}"
    try:
        answer = service.vault.secrets.kv.v2.read_secret_version(path=path, raise_on_deleted_version=True)
    except hvac.exceptions.InvalidPath:
        return {}
    return {reader: json.loads(text) for reader, text in answer["data"]["data"].items()}


def used(service: Service) -> set[str]:
    return {receipt["access_key"] for receipt in receipts(service).values()}


def overview(service: Service) -> dict[str, Any]:
    """The target as a worker saw it last."""
    return status(service, every=True)


def status(service: Service, *, every: bool = False) -> dict[str, Any]:
    done = service.rotator("status", *([] if every else [service.target]), "--json")
    fits(json.loads(done.stdout), "status")
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def careful(service: Service) -> Service:
    """Whose old keys go when no app uses them, after three minutes at most."""
    service.grace = "6s"
    service.target_lines = 'retire = "when-unused"\nretire_cap = "3m"'
    return service


def test_a_key_in_use_outlives_its_grace_and_status_names_who_uses_it(careful: Service) -> None:
    service = careful
    worker = service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    old = service.published()
    assert old is not None
    with serving(service) as endpoint:
        wait_until(lambda: used(service) == {old["access_key"]}, "a receipt")
        endpoint.send_signal(signal.SIGSTOP)
        service.rotate()
        new = service.published()
        assert new is not None
        wait_until(lambda: "still in use by" in overview(service)["waits_for"], "a look after the grace")
        found = status(service)
        assert service.works(old)
        [retiring] = found["retiring"]
        assert retiring["kept_until_at_most"] > retiring["retire_after"]
        [reader] = found["readers"]
        assert (reader["uses"], reader["access_key"], reader["gone"]) == ("old", old["access_key"], False)
        assert reader["reader"] == f"{socket.gethostname()} endpoint 127.0.0.1:0"[:128]
        assert f"STILL OLD: {reader['reader']} uses access key" in service.rotator("status", service.target).stdout
        asked = service.rotator("rotate", service.target, "--leaked")
        assert f"STILL OLD: {reader['reader']} uses access key" in asked.stderr, "who would fail is told before"
        assert "Nothing was changed" in asked.stderr
        endpoint.send_signal(signal.SIGCONT)
        wait_until(lambda: used(service) == {new["access_key"]}, "another receipt")
        [moved] = receipts(service).values()
        assert moved["before"] == old["access_key"]
        wait_until(lambda: not service.works(old), "the old key's end")
    assert [reader["uses"] for reader in status(service)["readers"]] == ["current"]
    assert worker.stop() == 0
    assert not any(secret in json.dumps(receipts(service)) for secret in service.secrets())


def test_a_file_is_in_use_once_it_is_written(careful: Service) -> None:
    service = careful
    service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    file = service.folder / "credentials"
    with reading(service, "render", "--to", str(file)):
        for _ in range(2):
            key = str((service.published() or {})["access_key"])
            wait_until(lambda key=key: used(service) == {key}, "a receipt")  # type: ignore[misc]  # bound at once
            assert key in file.read_text()
            service.rotate()
    assert list(receipts(service)) == [f"{socket.gethostname()} render {file}"[:128]]
    once = service.rotator("render", "--once", "--receipt", "--path", service.path, "--to", str(file))
    assert (once.returncode, "--once cannot leave a receipt" in once.stderr) == (2, True)


def test_what_a_stranger_writes_there_is_shown_without_moving_the_cursor(careful: Service) -> None:
    service = careful
    service.start()
    wait_until(lambda: service.published() is not None, "the first key")
    said = {"access_key": "A\x1b[2J", "version": 1, "rotation_id": "", "before": ""}
    said |= {"since": "2026-11-24T12:00:00+00:00", "seen": "2999-11-24T12:00:00+00:00"}
    data = {"web\x1b[31m\u202e": json.dumps(said), "garbage": "[" * 900}
    service.vault.secrets.kv.v2.create_or_update_secret(path=f"{RECEIPTS}/{service.path}", secret=data)
    shown = service.rotator("status", service.target)
    assert shown.returncode == 0
    assert "web\\x1b[31m\\u202e uses access key A\\x1b[2J" in shown.stdout
    assert "1 entries at" in shown.stderr
    assert all(char.isprintable() or char == "\n" for char in shown.stdout + shown.stderr)
    assert status(service)["readers"][0]["uses"] == "other"
