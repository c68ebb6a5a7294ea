"""Ctrl-C ends a command at once, with 130, and it says what goes on without it; here in the middle of a call."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.settings.configuring import ENV, TARGET

SECONDS = 60.0
NOTHING_CHANGED = "rotator: interrupted; nothing was changed"
GOES_ON = "Interrupted. What is on record by now goes on without this command; `rotator status` shows it."


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A Vault that takes a connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(SECONDS)
        yield server


def interrupted(silent: socket.socket, folder: Path, *arguments: str) -> tuple[int, list[str]]:
    """How a command ends, and what it says, that is interrupted while it waits for Vault."""
    file = folder / "rotator.toml"
    file.write_text(TARGET, encoding="utf-8")
    own = {"ROTATOR_CONFIG": str(file), "VAULT_ADDR": f"http://127.0.0.1:{silent.getsockname()[1]}"}
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", *arguments],
        env={**ENV, **own, "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        waiting, _ = silent.accept()
        with waiting:
            assert waiting.recv(1)
            process.send_signal(signal.SIGINT)
            out, said = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.wait()
    assert out == ""
    return process.returncode, said.splitlines()


@pytest.mark.parametrize("command", ["plan", "plan media", "report --format csv", "inbox", "top", "prove AKEY"])
def test_what_changes_nothing_says_so(silent: socket.socket, tmp_path: Path, command: str) -> None:
    assert interrupted(silent, tmp_path, *command.split()) == (130, [NOTHING_CHANGED])


@pytest.mark.parametrize(
    "command", ["rotate media", "pause media", "resume --all", "rollback media --yes", "reschedule media --at 1h"]
)
def test_what_may_have_changed_something_says_what_becomes_of_it(
    silent: socket.socket, tmp_path: Path, command: str
) -> None:
    assert interrupted(silent, tmp_path, *command.split()) == (130, [GOES_ON])
