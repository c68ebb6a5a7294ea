"""Apps that know nothing of rotation go through many without one failed call, however they get their key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.acceptance.service import Service
from tests.sandbox import wait_until

ROTATIONS = 4
TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"


@dataclass(frozen=True, slots=True)
class App:
    process: subprocess.Popen[str]

    def end(self) -> dict[str, Any]:
        out, _ = self.process.communicate(timeout=60)
        seen: dict[str, Any] = json.loads(out.splitlines()[-1])
        return seen


def _env(service: Service) -> dict[str, str]:
    """The environment of an app's machine: Vault and a token, nothing of the worker's."""
    runtime = service.folder / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    (service.folder / "app-token").write_text(str(service.vault.token))
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(service.folder),
        "XDG_RUNTIME_DIR": str(runtime),
        "VAULT_ADDR": service.sandbox.environment["VAULT_ADDR"],
        "VAULT_TOKEN_FILE": str(service.folder / "app-token"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _start_app(service: Service, env: dict[str, str], *arguments: str) -> App:
    endpoint = service.sandbox.simulator.s3
    command = [sys.executable, "-m", "tests.acceptance.s3_app", endpoint, *arguments]
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n", process.communicate()
    return App(process)


@contextmanager
def _serving(service: Service, *arguments: str) -> Iterator[dict[str, str]]:
    """``rotator serve-credentials``; gives what it says that goes into the environment of a program."""
    command = [sys.executable, "-m", "worker.cli", "serve-credentials", "--listen", "127.0.0.1:0", *arguments]
    with subprocess.Popen(command, env=_env(service), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline().strip() for _ in range(3)]
            yield dict(line.split("=", 1) for line in lines[1:])
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


def _by_process(service: Service, *arguments: str) -> dict[str, str]:
    helper = f"{sys.executable} -m worker.cli credentials --path {service.path} {' '.join(arguments)}"
    config = service.folder / "aws-config"
    config.write_text(f"[default]\ncredential_process = {helper}\n")
    return _env(service) | {"AWS_CONFIG_FILE": str(config)}


def _first_key(service: Service) -> None:
    service.start()
    wait_until(lambda: service.published() is not None, "the first key")


def _rotate_many(service: Service) -> None:
    for _ in range(ROTATIONS):
        before = service.published()
        assert before is not None
        service.rotate()
        wait_until(partial(_is_dead, service, before), "the old key's death")


def _is_dead(service: Service, secret: dict[str, Any]) -> bool:
    return not service.works(secret)


@pytest.mark.parametrize("way", ["endpoint", "process", "python"])
def test_no_call_fails_through_rotations(service: Service, way: str) -> None:
    service.grace = "6s"
    _first_key(service)
    with _serving(service, "--path", service.path) as endpoint:
        env = {"endpoint": _env(service) | endpoint, "process": _by_process(service), "python": _env(service)}[way]
        app = _start_app(service, env, *([service.path] if way == "python" else []))
        _rotate_many(service)
        seen = app.end()
    assert seen["errors"] == []
    assert seen["worked"] > ROTATIONS


def test_an_app_with_a_grace_that_is_too_short_fails(service: Service) -> None:
    """Else the test above would prove nothing."""
    service.grace = "1s"
    _first_key(service)
    secret = service.published()
    assert secret is not None
    keys = {"AWS_ACCESS_KEY_ID": secret["access_key"], "AWS_SECRET_ACCESS_KEY": secret["secret_key"]}
    app = _start_app(service, _env(service) | keys)
    _rotate_many(service)
    assert app.end()["errors"]


def test_a_python_app_survives_a_key_that_is_deleted_at_once(service: Service) -> None:
    """Nobody looks at Vault as often as that: the refusal itself makes it look."""
    service.grace = "1s"
    _first_key(service)
    app = _start_app(service, _env(service), service.path)
    _rotate_many(service)
    assert app.end()["errors"] == []


def test_the_last_good_key_is_handed_out_while_vault_is_away(service: Service) -> None:
    service.grace = "1h"
    _first_key(service)
    arguments = ("credentials", "--path", service.path, "--refresh", "1s")
    away = _env(service) | {"VAULT_TOKEN_FILE": str(service.folder / "nothing")}
    first = _helper(_env(service), *arguments)
    assert first.returncode == 0, first.stderr
    wait_until(lambda: "goes on being used" in _helper(away, *arguments).stderr, "a look at Vault that fails")
    again = _helper(away, *arguments)
    assert again.returncode == 0
    assert json.loads(again.stdout)["AccessKeyId"] == json.loads(first.stdout)["AccessKeyId"]
    without = _helper(away, *arguments, "--no-cache")
    assert (without.returncode, without.stdout) == (1, "")
    assert "nothing, cannot be read" in without.stderr


def _helper(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "worker.cli", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
