"""Commands for apps that live long end at once when they are told to, and when they have become of no use."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.vault.answers import document, errors, login
from tests.servers import wait_until
from tests.wire import Step, Wire, drip, raw, silence

AT_ONCE = 4.0
"""Seconds: less than a call of Vault may take."""
LONG = ("serve-credentials", "render", "run")
FOUND = document(access_key="AK1", secret_key="canary-of-ends", grace_seconds=4)
DRIPPING = drip(raw(200, b" " * 600), 0.1)
BROKEN = """
import json, sys
from datetime import timedelta
from pathlib import Path
from worker.credentials.command import say
from worker.credentials.environment import Given, Place, Server
from worker.credentials.jobs import job
from worker.credentials.render import render
from worker.credentials.run import Wanted, run
from worker.credentials.serve import serve
from worker.credentials.supervision import Policy

class TokenFile(type(Path())):
    opened = 0
    def open(self, *_, **__):
        TokenFile.opened += 1
        if TokenFile.opened > (sys.argv[1] == "run"):
            raise RuntimeError("nobody thought of this")
        return super().open(encoding="ascii")

command, address, folder, program = sys.argv[1:]
place, vault, login = Place("a", "secret", "a"), Server(address), Given(token_file=TokenFile(folder, "token"))
refresh = timedelta(seconds=1)
if command == "run":
    sys.exit(run(Wanted(json.loads(program), place, Policy(kill_after=30), refresh, None), {}, vault, login, say))
if command == "render":
    sys.exit(render([job(place, {"to": folder + "/key"})], refresh, vault, login, say, once=False))
sys.exit(serve([place], "127.0.0.1:0", Path(folder, "own-token"), refresh, vault, login))
"""
APP = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"


def _arguments(command: str, folder: Path) -> list[str]:
    rest = {
        "serve-credentials": ["--listen", "127.0.0.1:0"],
        "render": ["--to", str(folder / "key")],
        "run": ["--", sys.executable, "-c", APP, str(folder / "pid")],
    }
    return [command, "--path", "apps/a", "--refresh", "1s", *rest[command]]


@contextmanager
def _running(command: str, wire: Wire, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, logged in by AppRole, with its first key."""
    env = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(folder), "VAULT_ADDR": wire.url, "VAULT_ROLE_ID": "role"}
    words = [sys.executable, "-m", "worker.cli", *_arguments(command, folder)]
    with subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL) as process:
        try:
            if command != "serve-credentials":
                there = folder / ("key" if command == "render" else "pid")
                wait_until(lambda: there.exists() and bool(there.read_text()), "it has its key")
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("step", [silence(), DRIPPING], ids=["silent", "dripping"])
@pytest.mark.parametrize("command", LONG)
def test_it_ends_at_once_while_vault_does_not_answer(command: str, step: Step, tmp_path: Path) -> None:
    with Wire(login("t", 60), FOUND, step) as wire, _running(command, wire, tmp_path) as process:
        wait_until(lambda: len(wire.heard) > 2, "it waits for an answer")
        process.send_signal(signal.SIGTERM)
        assert process.wait(AT_ONCE) == (143 if command == "run" else 0)
        assert [heard.target for heard in wire.heard][-1] == "/v1/auth/token/revoke-self"


def test_the_exit_code_of_a_program_comes_at_once_too(tmp_path: Path) -> None:
    with Wire(login("t", 60), FOUND, silence()) as wire, _running("run", wire, tmp_path) as process:
        wait_until(lambda: len(wire.heard) > 2, "it waits for an answer")
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGUSR1)
        assert process.wait(AT_ONCE) == 128 + signal.SIGUSR1


@pytest.mark.parametrize("command", LONG)
def test_it_ends_where_it_does_not_look_any_more(command: str, tmp_path: Path) -> None:
    """By an error that nobody thought of; who started it starts it anew, and with it the program of ``run``."""
    (tmp_path / "token").write_text("t")
    program = json.dumps([sys.executable, "-c", APP, str(tmp_path / "pid")])
    with Wire(FOUND, errors(403, "permission denied")) as wire:
        done = subprocess.run(
            [sys.executable, "-c", BROKEN, command, wire.url, str(tmp_path), program],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert "nobody thought of this" in done.stderr
    assert done.returncode == (143 if command == "run" else 1)
