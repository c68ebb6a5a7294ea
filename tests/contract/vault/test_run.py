"""``rotator run`` on a real Vault: a program that knows nothing gets its key, the next one, and every signal."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.sandbox import is_running
from tests.servers import VaultServer, start_vault, wait_until

PATH = "apps/a/s3"
SECRET = "canary-of-run"
QUICK = ("--refresh", "1s", "--jitter", "1s")
APP = """
import os, signal, sys, time
log = open(sys.argv[1], "a", buffering=1)
def ended(number, _):
    log.write(f"{os.getpid()} {signal.Signals(number).name}\\n")
    if number == signal.SIGTERM and "stubborn" not in sys.argv:
        sys.exit(7)
for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
    signal.signal(number, ended)
log.write(f"{os.getpid()} started {os.environ['AWS_ACCESS_KEY_ID']} {os.environ.get('AWS_SESSION_TOKEN')}\\n")
while True:
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with start_vault(tmp_path_factory.mktemp("vault")) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Scene:
    server: VaultServer
    folder: Path

    def write(self, access_key: str, grace: int = 3600) -> None:
        client: Any = hvac.Client(url=self.server.address, token=self.server.root_token)
        secret = {"access_key": access_key, "secret_key": SECRET, "grace_seconds": grace}
        client.secrets.kv.v2.create_or_update_secret(path=PATH, secret=secret)

    def env(self, **more: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "XDG_RUNTIME_DIR": str(self.folder),
            "VAULT_ADDR": self.server.address,
            "VAULT_TOKEN": self.server.root_token,
            "AWS_SESSION_TOKEN": "of another key",
            **more,
        }

    def seen(self) -> list[list[str]]:
        log = self.folder / "log"
        return [line.split() for line in log.read_text().splitlines()] if log.exists() else []

    def started_with(self) -> list[str]:
        return [line[2] for line in self.seen() if line[1] == "started"]

    @contextmanager
    def running(self, *options: str, app: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
        program = [sys.executable, "-c", APP, str(self.folder / "log"), *app]
        command = [sys.executable, "-m", "worker.cli", "run", "--path", PATH, *QUICK, *options, "--", *program]
        with subprocess.Popen(command, env=self.env(), stderr=subprocess.PIPE, text=True) as process:
            try:
                wait_until(lambda: bool(self.started_with()), "the program has started")
                yield process
            finally:
                self.end()
                process.wait(30)

    def end(self) -> None:
        """End every program that was started; then so does the command that runs it."""
        for pid in {int(line[0]) for line in self.seen()}:
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def scene(server: VaultServer, tmp_path: Path) -> Scene:
    made = Scene(server, tmp_path)
    made.write("AK1")
    return made


def _wait(holds: Callable[[], bool]) -> None:
    wait_until(holds, "what follows from a rotation or a signal")


def test_it_is_started_anew_with_the_new_key_and_its_exit_code_is_passed_on(scene: Scene) -> None:
    with scene.running() as process:
        assert scene.seen()[0][1:] == ["started", "AK1", "None"]
        scene.write("AK2")
        _wait(lambda: scene.started_with() == ["AK1", "AK2"])
        first, second = scene.seen()[0][0], scene.seen()[-1][0]
        assert [line[1] for line in scene.seen() if line[0] == first] == ["started", "SIGTERM"]
        assert not is_running(int(first))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 7
        assert not is_running(int(second))
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_program_that_does_not_end_is_killed(scene: Scene) -> None:
    with scene.running("--kill-after", "1s", app=("stubborn",)) as process:
        scene.write("AK2")
        _wait(lambda: scene.started_with() == ["AK1", "AK2"])
        os.kill(int(scene.seen()[-1][0]), signal.SIGKILL)
        assert process.wait(30) == 128 + signal.SIGKILL


def test_signals_are_passed_on_and_a_program_may_be_sent_one_in_the_place_of_a_restart(scene: Scene) -> None:
    with scene.running("--on-change", "signal", "--signal", "USR1") as process:
        process.send_signal(signal.SIGHUP)
        _wait(lambda: [line[1] for line in scene.seen()] == ["started", "SIGHUP"])
        scene.write("AK2")
        _wait(lambda: [line[1] for line in scene.seen()] == ["started", "SIGHUP", "SIGUSR1"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 7
    assert scene.started_with() == ["AK1"]


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGALRM,
        signal.SIGIO,
        signal.SIGPROF,
        signal.SIGPWR,
        signal.SIGQUIT,
        signal.SIGUSR2,
        signal.SIGVTALRM,
        signal.SIGRTMIN,
        signal.SIGRTMIN + 7,
        signal.SIGRTMAX,
    ],
)
def test_what_would_end_both_ends_the_program_first(scene: Scene, number: int) -> None:
    with scene.running() as process:
        process.send_signal(number)
        assert process.wait(30) == 128 + number
        assert not is_running(int(scene.seen()[0][0]))


def test_a_program_that_was_stopped_is_told_to_go_on(scene: Scene) -> None:
    with scene.running() as process:
        os.kill(int(scene.seen()[0][0]), signal.SIGSTOP)
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGCONT)
        _wait(lambda: [line[1] for line in scene.seen()] == ["started", "SIGUSR1"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 7


def test_an_interrupt_by_the_terminal_comes_once(scene: Scene) -> None:
    """The terminal sends it to the program itself, too."""
    ours, theirs = pty.openpty()
    program = [sys.executable, "-c", APP, str(scene.folder / "log")]
    command = [sys.executable, "-m", "worker.cli", "run", "--path", PATH, *QUICK, "--", *program]
    with subprocess.Popen(
        command,
        env=scene.env(),
        stdin=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - there are no threads here
    ) as process:
        try:
            wait_until(lambda: bool(scene.started_with()), "the program has started")
            process.send_signal(signal.SIGSTOP)  # else two interrupts may come so close that they are one
            os.write(ours, b"\x03")
            _wait(lambda: len(scene.seen()) > 1)
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGUSR1)
            _wait(lambda: scene.seen()[-1][1] == "SIGUSR1")
            assert [line[1] for line in scene.seen()] == ["started", "SIGINT", "SIGUSR1"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 7
        finally:
            scene.end()
            process.kill()
            os.close(ours)
            os.close(theirs)


def test_it_goes_on_and_starts_while_vault_is_sealed(tmp_path: Path) -> None:
    with start_vault(tmp_path / "vault") as server:
        scene = Scene(server, tmp_path)
        scene.write("AK1")
        client: Any = hvac.Client(url=server.address, token=server.root_token)
        with scene.running() as process:
            client.sys.seal()
            assert process.stderr is not None
            assert "Vault is sealed" in process.stderr.readline()
            with scene.running():
                _wait(lambda: scene.started_with() == ["AK1", "AK1"])
                client.sys.submit_unseal_key(server.unseal_key)
                scene.write("AK2")
                _wait(lambda: scene.started_with() == ["AK1", "AK1", "AK2", "AK2"])
        client.sys.seal()
        done = _run(scene.env(XDG_RUNTIME_DIR=str(tmp_path / "vault")), "--path", PATH, "--", "true")
        assert (done.returncode, "Vault is sealed" in done.stderr) == (75, True)


def _run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "worker.cli", "run", *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert SECRET not in done.stderr
    return done


@pytest.mark.parametrize(
    ("more", "arguments", "code", "says"),
    [
        ({"VAULT_TOKEN": "wrong"}, ("--path", PATH, "--", "true"), 1, "The token or login has expired"),
        ({}, ("--path", "apps/none", "--", "true"), 1, "there is no secret at secret/data/apps/none"),
        ({}, ("--path", PATH), 2, "Write it after --"),
        ({}, ("--path", PATH, "--"), 2, "Write it after --"),
        ({}, ("--path", PATH, "--", "nothing-of-that-name"), 2, "nothing-of-that-name cannot be started: No such"),
        ({}, ("--path", PATH, "--signal", "LOUD", "--", "true"), 2, "'LOUD' is no signal"),
        ({}, ("--path", PATH, "--kill-after", "soon", "--", "true"), 2, "'soon' is not a duration"),
        ({}, ("--path", PATH, "--", "sh", "-c", "kill -9 $$"), 137, ""),
        ({}, ("--path", PATH, "--", "sh", "-c", "exit 42"), 42, ""),
    ],
)
def test_what_is_wrong_is_named(
    scene: Scene, more: dict[str, str], arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = _run(scene.env(**more), *arguments)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr


def test_a_cache_that_is_a_link_or_of_another_user_is_told_and_not_used(scene: Scene) -> None:
    (scene.folder / "elsewhere").mkdir()
    (scene.folder / "hostup-rotator").symlink_to(scene.folder / "elsewhere")
    done = _run(scene.env(), "--path", PATH, "--", "sh", "-c", "echo $AWS_ACCESS_KEY_ID")
    assert (done.returncode, done.stdout) == (0, "AK1\n")
    assert "the cache in" in done.stderr
    assert not list((scene.folder / "elsewhere").iterdir())
