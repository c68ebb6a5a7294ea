"""Nobody but root may look into a worker, or into a command that holds secrets; and no core of them is written."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sandbox import wait_until
from worker.sandbox.servers import ValkeyServer

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="prctl(2) is Linux'")
ROOTLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
"""Root may look into everything; without its capabilities it is a user like others."""


def command(*words: str) -> list[str]:
    if os.geteuid() != 0:
        return list(words)
    assert shutil.which("setpriv"), "setpriv is a part of util-linux"
    return [*ROOTLESS, *words]


def may_look_into(pid: int) -> bool:
    looked = subprocess.run(command("cat", f"/proc/{pid}/environ"), capture_output=True, check=False)
    return looked.returncode == 0


def environment(folder: Path, server: ValkeyServer) -> dict[str, str]:
    config = folder / "rotator.toml"
    config.write_text('[[target]]\nname = "media"\npath = "apps/media"\nevery = "30d"\ngrace = "1h"\n')
    return {
        "PATH": os.environ["PATH"],
        "ROTATOR_CONFIG": str(config),
        "VAULT_ADDR": "http://127.0.0.1:9",
        "VAULT_TOKEN": "hvs.any",
        "HOSTUP_API_KEY": "any-api-key",
        "REDIS_URL": server.url.reveal(),
    }


@LINUX
def test_nobody_looks_into_a_worker(tmp_path: Path, server: ValkeyServer) -> None:
    log = tmp_path / "log"
    with log.open("wb") as output:
        started = [command(sys.executable, "-m", "worker.cli", "worker"), command("sleep", "60")]
        worker, other = [subprocess.Popen(each, env=environment(tmp_path, server), stdout=output) for each in started]
    try:
        wait_until(lambda: "worker.started" in log.read_text(), "the worker has started")
        assert may_look_into(other.pid), "else this test would show nothing"
        assert not may_look_into(worker.pid)
        assert Path(f"/proc/{worker.pid}/environ").stat().st_uid == 0
    finally:
        for child in (worker, other):
            child.terminate()
            child.wait(60)


@LINUX
def test_commands_that_read_secrets_are_closed_too(tmp_path: Path, server: ValkeyServer) -> None:
    code = (
        "import ctypes; from worker.cli.options import Options; from worker.settings.environment import Need\n"
        "Options().settings(Need.VAULT); print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path, server), capture_output=True, text=True, check=True
    )
    assert done.stdout == "0\n"


@LINUX
@pytest.mark.parametrize("command_of_apps", ["serve-credentials", "render", "credentials"])
def test_the_helpers_of_apps_are_closed_too(tmp_path: Path, command_of_apps: str) -> None:
    code = (
        "import ctypes, sys; from worker.credentials.command import main\n"
        "main(sys.argv[1:], {}); print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    to = ["--format", "json", "--to", str(tmp_path / "key")] if command_of_apps == "render" else []
    words = [command_of_apps, "--path", "apps/media", *to]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n", done.stderr
