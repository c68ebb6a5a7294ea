"""The sandbox as a whole: what it writes, that it can be used, and that nothing of it is left."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.sandbox import PATIENCE, HostUp, is_running, plain_client, wait_until
from worker.errors import ConfigurationError, TryAgainLater, VaultRefused
from worker.sandbox.run import Sandbox, start_sandbox
from worker.sandbox.servers import start_valkey
from worker.sandbox.vault_admin import VaultAdmin
from worker.secret import Secret
from worker.settings.settings import Settings, load

ROOT = Path(__file__).parents[2]
BARE = {"PATH": os.environ["PATH"]}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with start_sandbox(tmp_path_factory.mktemp("parent") / "sandbox", environ=BARE) as running:
        yield running


@pytest.fixture
def settings(sandbox: Sandbox) -> Settings:
    """What the worker makes of the files."""
    return load(None, sandbox.environment)


def test_the_configuration_is_right_and_has_every_target(sandbox: Sandbox, settings: Settings) -> None:
    assert settings.hostup.base_url == sandbox.simulator.hostup
    assert [*settings.targets] == [target.name for target in sandbox.targets]
    assert {target.path for target in settings.targets.values()} == {target.path for target in sandbox.targets}


def test_nobody_else_can_read_what_is_secret(sandbox: Sandbox, settings: Settings) -> None:
    assert sandbox.folder.stat().st_mode & 0o777 == 0o700
    hold_secrets = [sandbox.folder / "env", *(sandbox.folder / "secrets").iterdir()]
    assert len(hold_secrets) == 5
    assert {path.stat().st_mode & 0o777 for path in hold_secrets} == {0o600}
    for file in ("env", "rotator.toml"):
        text = (sandbox.folder / file).read_text("utf-8")
        assert not [secret for secret in settings.secrets() if secret.reveal() in text]


def test_commands_leave_no_tokens_behind(sandbox: Sandbox) -> None:
    assert sandbox.vault is not None
    admin = VaultAdmin(sandbox.vault.address, sandbox.vault.root_token)
    before = admin.call("LIST", "auth/token/accessors")["data"]["keys"]
    name = sandbox.targets[0].name
    for arguments in (["status", name], ["status", "--fresh"], ["status", name, "--json"]):
        subprocess.run(
            [sys.executable, "-m", "worker.cli", *arguments], env={**BARE, **sandbox.environment}, check=True
        )
    assert sorted(admin.call("LIST", "auth/token/accessors")["data"]["keys"]) == sorted(before)


def test_the_environment_file_is_for_a_shell(sandbox: Sandbox) -> None:
    """Sourcing it also puts aside what would stand in the way."""
    polluted = BARE | {"VAULT_TOKEN": "another", "REDIS_URL": "redis://elsewhere", "HOSTUP_API_KEY": "real"}
    shown = subprocess.run(
        ["sh", "-c", f". '{sandbox.folder}/env'; env"], env=polluted, capture_output=True, text=True, check=True
    ).stdout
    variables = dict(line.split("=", 1) for line in shown.splitlines())

    assert {name: variables.get(name) for name in sandbox.environment} == sandbox.environment
    assert not {"VAULT_TOKEN", "REDIS_URL", "HOSTUP_API_KEY"} & set(variables)
    assert [*load(None, variables).targets] == [target.name for target in sandbox.targets]


def test_every_part_answers_to_what_was_written(settings: Settings, sandbox: Sandbox) -> None:
    assert settings.hostup.api_key
    with plain_client(settings.hostup.base_url, {"X-API-Key": settings.hostup.api_key.reveal()}) as client:
        status = HostUp(client).status()
    assert status["keyCount"] == 1, "one key was there before the rotator came"
    assert status["endpoint"] == sandbox.simulator.s3
    with redis.Redis.from_url(settings.redis_url.reveal()) as queue:
        assert queue.ping()


def test_the_workers_login_may_do_what_it_must_and_no_more(settings: Settings, sandbox: Sandbox) -> None:
    vault = VaultAdmin(settings.vault.address)
    assert settings.vault.secret_id
    login = {"role_id": settings.vault.role_id, "secret_id": settings.vault.secret_id.reveal()}
    token = Secret(vault.call("POST", "auth/approle/login", login)["auth"]["client_token"])
    worker = VaultAdmin(settings.vault.address, token)

    for path in (f"hostup-rotator/state/{sandbox.targets[0].name}", sandbox.targets[0].path):
        assert worker.call("POST", f"secret/data/{path}", {"data": {"x": "1"}})["data"]["version"] == 1
        assert worker.call("GET", f"secret/data/{path}")["data"]["data"] == {"x": "1"}
    with pytest.raises(VaultRefused, match="403"):
        worker.call("POST", "secret/data/apps/somebody-else", {"data": {"x": "1"}})
    with pytest.raises(VaultRefused, match="403"):
        worker.call("GET", "sys/mounts")


def test_two_sandboxes_in_one_folder_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(TryAgainLater, match="runs in"), start_sandbox(sandbox.folder, environ=BARE):
        pass

    assert sandbox.ended() is None
    assert load(None, sandbox.environment).targets


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "mine").write_text("precious")

    with pytest.raises(ConfigurationError, match="something else"), start_sandbox(tmp_path, environ=BARE):
        pass

    assert (tmp_path / "secrets" / "mine").read_text() == "precious"


def test_servers_that_are_there_are_used(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text("some-token")
    theirs = {"VAULT_ADDR": "http://127.0.0.1:9", "VAULT_TOKEN_FILE": str(token_file)}
    valkey = start_valkey(tmp_path / "valkey")
    try:
        url = valkey.url.reveal()
        with start_sandbox(tmp_path / "sandbox", environ=BARE | theirs | {"REDIS_URL": url}) as sandbox:
            assert (sandbox.vault, sandbox.valkey) == (None, None)
            settings = load(None, sandbox.environment)
            assert (settings.vault.address, settings.vault.token_file) == (theirs["VAULT_ADDR"], token_file)
            assert settings.redis_url.reveal() == url
            assert sandbox.ended() is None
            assert not (sandbox.folder / "vault").exists()
        assert not is_running(sandbox.simulator.pid)
    finally:
        valkey.stop()


RUN = """
import sys
from pathlib import Path
from worker.sandbox.run import run_sandbox
run_sandbox(Path(sys.argv[1]), lambda line: print(line, flush=True))
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A sandbox in a process of its own, all that it said at first, and its children."""

    process: subprocess.Popen[str]
    folder: Path
    said: list[str]
    children: tuple[int, ...]

    def port(self, name: str) -> int:
        line = next(line for line in self.said if line.startswith(name))
        return int(line.rpartition(":")[2].partition("/")[0])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    folder = tmp_path / "sandbox"
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=BARE,
    )
    try:
        assert process.stdout
        said: list[str] = []
        while line := process.stdout.readline():
            said.append(line.rstrip())
            if "Ctrl-C ends" in line:
                break
        yield Running(process, folder, said, children_of(process.pid))
    finally:
        process.kill()
        process.communicate()


def children_of(pid: int) -> tuple[int, ...]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return tuple(found)


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


PARTS = ("HostUp", "Object storage", "Simulator's controls", "Vault", "Valkey")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_asked_to_and_leaves_nothing_running(running: Running, number: signal.Signals) -> None:
    ports = [running.port(name) for name in PARTS]
    assert all(is_open(port) for port in ports)
    assert len(running.children) == 3
    ours = os.getpgid(running.process.pid)
    assert ours not in {os.getpgid(child) for child in running.children}, "a terminal's Ctrl-C is for us alone"

    running.process.send_signal(number)

    rest, _ = running.process.communicate(timeout=PATIENCE)
    assert running.process.returncode == 0
    assert "nothing is left running" in rest
    assert "Traceback" not in rest
    assert not [pid for pid in running.children if is_running(pid)]
    assert not [port for port in ports if is_open(port)]


def test_a_kill_leaves_nothing_running_either(running: Running) -> None:
    ports = [running.port(name) for name in PARTS]

    running.process.kill()
    running.process.wait(PATIENCE)

    # a process counts as gone while threads of its may still hold a port, hence the second wait
    wait_until(lambda: not any(is_running(pid) for pid in running.children), "the children are gone")
    wait_until(lambda: not any(is_open(port) for port in ports), "their ports are closed")
    with (running.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the next one can start here


def test_a_part_that_ends_by_itself_is_told_and_ends_the_rest(running: Running) -> None:
    os.kill(running.children[0], signal.SIGKILL)

    rest, _ = running.process.communicate(timeout=PATIENCE)

    assert running.process.returncode == 1
    assert "has ended by itself" in rest
    assert not [pid for pid in running.children if is_running(pid)]


def test_it_says_what_to_type_next(running: Running) -> None:
    text = "\n".join(running.said)

    assert f". {running.folder / 'env'}" in text
    for command in ("rotator check", "rotator worker", "rotator rotate media-uploads --wait", "rotator status"):
        assert command in text
    for secret in (running.folder / "secrets").iterdir():
        assert secret.read_text() not in text
