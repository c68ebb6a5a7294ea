"""``rotator render`` on a real Vault: files follow the secret, programs are told, trouble is named."""

from __future__ import annotations

import configparser
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hvac  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.servers import VaultServer, start_vault, wait_until

PATH = "apps/a/s3"
SECRET = "canary-of-render"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with start_vault(tmp_path_factory.mktemp("vault")) as running:
        yield running


@pytest.fixture
def write(server: VaultServer) -> Callable[[str], None]:
    client: Any = hvac.Client(url=server.address, token=server.root_token)

    def publish(access_key: str) -> None:
        secret = {"access_key": access_key, "secret_key": SECRET, "endpoint": "https://s3.example", "region": "eu-1"}
        client.secrets.kv.v2.create_or_update_secret(path=PATH, secret=secret)

    publish("AK1")
    return publish


def _env(server: VaultServer, **more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "VAULT_ADDR": server.address, "VAULT_TOKEN": server.root_token, **more}


def _command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "worker.cli", "render", *map(str, arguments)]


def _once(env: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = _command("--once", *arguments)
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert SECRET not in done.stdout + done.stderr
    return done


@contextmanager
def _rendering(env: dict[str, str], *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    command = _command("--refresh", "1s", *arguments)
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()


def _key_in(file: Path) -> str:
    parser = configparser.RawConfigParser()
    parser.read(file)
    return parser.get("default", "aws_access_key_id", fallback="")


@pytest.mark.usefixtures("write")
@pytest.mark.parametrize("form", ["aws", "rclone", "s3cmd", "mc", "env", "json"])
def test_each_form_of_a_file(server: VaultServer, tmp_path: Path, form: str) -> None:
    to = tmp_path / "key"
    done = _once(_env(server), "--path", PATH, "--format", form, "--to", to, "--mode", "0640")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    text = to.read_text()
    assert "AK1" in text
    assert SECRET in text
    if form in {"mc", "json"}:
        json.loads(text)
    if form in {"aws", "rclone", "s3cmd"}:
        configparser.RawConfigParser().read_string(text)
    if form == "env":
        read = subprocess.run(["sh", "-c", f'. {to}; printf %s "$AWS_ACCESS_KEY_ID"'], capture_output=True, check=True)
        assert read.stdout == b"AK1"


@pytest.mark.usefixtures("write")
def test_a_pair_of_files(server: VaultServer, tmp_path: Path) -> None:
    done = _once(_env(server), "--path", PATH, "--format", "pair", "--to", tmp_path / "pair")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "pair" / "access_key").read_text() == "AK1"
    assert (tmp_path / "pair" / "secret_key").read_text() == SECRET


def test_files_follow_the_secret_and_programs_are_told(
    server: VaultServer, write: Callable[[str], None], tmp_path: Path
) -> None:
    told, signalled, plan = tmp_path / "told", tmp_path / "signalled", tmp_path / "render.toml"
    # not HUP: under nohup it is ignored, and no shell can trap what was ignored when it began
    script = f"trap 'echo now >> {signalled}' USR1; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", script]) as app:
        try:
            wait_until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()), "the app is there")
            plan.write_text(
                f'[[file]]\npath = "{PATH}"\nto = "{tmp_path}/one"\nsignal = "USR1"\npid_file = "{tmp_path}/pid"\n'
                f'[[file]]\npath = "{PATH}"\nformat = "env"\nto = "{tmp_path}/two"\n'
                f'exec = ["sh", "-c", "cat {tmp_path}/two >> {told}"]\n'
            )
            with _rendering(_env(server), "--from", plan):
                wait_until(lambda: told.exists() and "AK1" in told.read_text(), "the first key is told")
                wait_until(signalled.exists, "the first signal has come")  # two that come at once would be one
                write("AK2")
                wait_until(lambda: "AK2" in told.read_text(), "the second key is told")
                assert _key_in(tmp_path / "one") == "AK2"
                wait_until(lambda: signalled.exists() and signalled.read_text().count("now") == 2, "two signals")
        finally:
            app.kill()


def test_a_program_that_could_not_be_told_is_told_at_the_next_look(
    server: VaultServer, write: Callable[[str], None], tmp_path: Path
) -> None:
    tries, ready = tmp_path / "tries", tmp_path / "ready"
    command = f"sh -c 'echo try >> {tries}; test -e {ready}'"
    with _rendering(_env(server), "--path", PATH, "--to", tmp_path / "key", "--exec", command) as process:
        wait_until(lambda: tries.exists() and tries.read_text().count("try") > 1, "it is tried again")
        ready.touch()
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(3)]
        assert "written, with the key AK1" in lines[0]
        assert "sh of --exec failed: its exit code is 1" in lines[1]
        assert "all is well again" in lines[2], "the same error is told once"
        done = tries.read_text()
        write("AK1")
        assert tries.read_text() == done


@pytest.mark.usefixtures("write")
@pytest.mark.parametrize("form", ["aws", "pair"])
def test_a_kill_before_the_program_is_told_loses_no_word(server: VaultServer, tmp_path: Path, form: str) -> None:
    """The first command kills the process that writes: the file is there by then, and nobody was told."""
    told, ready, to = tmp_path / "told", tmp_path / "ready", tmp_path / "key"
    command = f"sh -c 'if test -e {ready}; then echo told >> {told}; else kill -KILL $PPID; fi'"
    arguments = ("--path", PATH, "--format", form, "--to", to, "--exec", command)
    mark = to / "..untold" if form == "pair" else tmp_path / ".key.untold"
    assert _once(_env(server), *arguments).returncode == -signal.SIGKILL
    assert to.exists()
    assert (mark.stat().st_mode & 0o777, mark.read_bytes()) == (0o600, b"")
    ready.touch()
    assert _once(_env(server), *arguments).returncode == 0
    assert (told.read_text(), mark.exists()) == ("told\n", False)
    assert _once(_env(server), *arguments).returncode == 0
    assert told.read_text() == "told\n", "it is told once"


@pytest.mark.usefixtures("write")
def test_a_process_that_stays_tells_what_one_before_it_left_untold(server: VaultServer, tmp_path: Path) -> None:
    told, ready = tmp_path / "told", tmp_path / "ready"
    command = f"sh -c 'if test -e {ready}; then echo told >> {told}; else kill -KILL $PPID; fi'"
    arguments = ("--path", PATH, "--to", tmp_path / "key", "--exec", command)
    killed = _command("--refresh", "1s", *arguments)
    assert subprocess.run(killed, env=_env(server), check=False, timeout=60).returncode == -signal.SIGKILL
    ready.touch()
    with _rendering(_env(server), *arguments):
        wait_until(told.exists, "the program is told")


@pytest.mark.usefixtures("write")
def test_a_kill_before_the_signal_loses_no_signal(server: VaultServer, tmp_path: Path) -> None:
    """Its pid file is empty yet, as of a program that just starts: the file is written by then, and nobody was told."""
    key, pid_file, signalled = tmp_path / "key", tmp_path / "pid", tmp_path / "signalled"
    pid_file.touch()
    arguments = ("--path", PATH, "--to", key, "--signal", "USR1", "--pid-file", pid_file)
    killed = _command("--refresh", "1s", *arguments)
    with subprocess.Popen(killed, env=_env(server), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            assert "written, with the key AK1" in process.stderr.readline()
            assert str(pid_file) in process.stderr.readline()
        finally:
            process.kill()
    script = f"trap 'echo now >> {signalled}' USR1; echo $$ > {tmp_path}/ready; while :; do sleep 0.05; done"
    with subprocess.Popen(["sh", "-c", script]) as app:
        try:
            wait_until(lambda: (tmp_path / "ready").exists() and (tmp_path / "ready").read_text() != "", "the app")
            (tmp_path / "ready").rename(pid_file)
            for _ in range(2):
                assert _once(_env(server), *arguments).returncode == 0
                wait_until(signalled.exists, "the signal has come")
            assert signalled.read_text() == "now\n", "once"
        finally:
            app.kill()


def test_whoever_read_its_words_may_go(server: VaultServer, write: Callable[[str], None], tmp_path: Path) -> None:
    with _rendering(_env(server), "--path", PATH, "--to", tmp_path / "key") as process:
        wait_until(lambda: _key_in(tmp_path / "key") == "AK1", "the file is there")
        assert process.stderr is not None
        process.stderr.close()
        write("AK2")
        wait_until(lambda: _key_in(tmp_path / "key") == "AK2", "the file follows")


def test_the_last_good_file_stays_while_vault_is_sealed(tmp_path: Path) -> None:
    with start_vault(tmp_path / "vault") as server:
        client: Any = hvac.Client(url=server.address, token=server.root_token)
        client.secrets.kv.v2.create_or_update_secret(path=PATH, secret={"access_key": "AK1", "secret_key": SECRET})
        with _rendering(_env(server), "--path", PATH, "--to", tmp_path / "key") as process:
            wait_until(lambda: _key_in(tmp_path / "key") == "AK1", "the file is there")
            client.sys.seal()
            assert process.stderr is not None
            process.stderr.readline()
            assert "Vault is sealed" in process.stderr.readline()
            assert _key_in(tmp_path / "key") == "AK1"
            client.sys.submit_unseal_key(server.unseal_key)
            assert "all is well again" in process.stderr.readline()
        client.sys.seal()
        done = _once(_env(server), "--path", PATH, "--to", tmp_path / "other")
        assert (done.returncode, "Vault is sealed" in done.stderr) == (75, True)
        assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("write")
@pytest.mark.parametrize(
    ("more", "arguments", "code", "says"),
    [
        ({"VAULT_TOKEN": "wrong"}, ("--path", PATH), 1, "The token or login has expired"),
        ({}, ("--path", "apps/none"), 1, "there is no secret at secret/data/apps/none"),
        ({"VAULT_ADDR": ""}, ("--path", PATH), 78, "VAULT_ADDR: must be set"),
        ({}, (), 2, "no secret is named"),
        ({}, ("--path", PATH, "--format", "xml"), 2, "'xml' is no format"),
        ({}, ("--path", PATH, "--mode", "0666"), 2, "'0666' is no mode"),
        ({}, ("--path", PATH, "--owner", "nobody-of-that-name"), 2, "there is no user"),
        ({}, ("--path", PATH, "--owner", f":{2**32 - 1}"), 2, "there is no group"),
        ({}, ("--path", PATH, "--owner", "9" * 99), 2, "there is no user"),
        ({}, ("--path", PATH, "--signal", "HUP"), 2, "Either --signal with --pid-file, or --exec"),
        ({}, ("--path", PATH, "--exec", "nothing-of-that-name"), 1, "nothing-of-that-name of --exec failed: No such"),
    ],
)
def test_what_is_wrong_is_named(
    server: VaultServer, tmp_path: Path, more: dict[str, str], arguments: tuple[str, ...], code: int, says: str
) -> None:
    done = _once(_env(server, **more), "--to", tmp_path / "key", *arguments)
    assert (done.returncode, says in done.stderr) == (code, True), done.stderr
    assert (tmp_path / "key").exists() == ("--exec" in arguments)


def test_a_deleted_secret_leaves_the_file(server: VaultServer, write: Callable[[str], None], tmp_path: Path) -> None:
    assert _once(_env(server), "--path", PATH, "--to", tmp_path / "key").returncode == 0
    hvac.Client(url=server.address, token=server.root_token).secrets.kv.v2.delete_latest_version_of_secret(path=PATH)
    done = _once(_env(server), "--path", PATH, "--to", tmp_path / "key")
    assert (done.returncode, "undelete" in done.stderr) == (1, True)
    assert _key_in(tmp_path / "key") == "AK1"
    write("AK1")


@pytest.mark.usefixtures("write")
def test_a_link_in_the_place_of_the_file_is_an_error(server: VaultServer, tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    done = _once(_env(server), "--path", PATH, "--to", tmp_path / "key")
    assert (done.returncode, "is a link, and is not followed" in done.stderr) == (1, True)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.usefixtures("write")
def test_the_others_are_written_where_one_cannot_be(server: VaultServer, tmp_path: Path) -> None:
    plan = tmp_path / "render.toml"
    plan.write_text(
        f'[[file]]\npath = "{PATH}"\nto = "{tmp_path}/missing/key"\n[[file]]\npath = "{PATH}"\nto = "{tmp_path}/key"\n'
    )
    done = _once(_env(server), "--from", plan)
    assert (done.returncode, f"{tmp_path}/missing/key cannot be written" in done.stderr) == (1, True)
    assert _key_in(tmp_path / "key") == "AK1"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no [[file]]"),
        ("[file]\n", "holds no [[file]]"),
        ("[[file]\n", "cannot be read"),
        ('[[file]]\npath = "a"\nto = "b"\ncolour = "red"\n', "[[file]] 1: 'colour' is no text, or no such setting"),
        ('[[file]]\npath = "a"\nto = "b"\nmode = 600\n', "'mode' is no text"),
        ('[[file]]\nto = "b"\n', "is no path of a secret"),
        ('[[file]]\npath = "a"\nto = "b"\n[[file]]\npath = "a"\nto = "b"\n', "two [[file]] are for b"),
    ],
)
def test_a_file_of_files_that_is_wrong_is_an_error_before_anything_is_written(
    server: VaultServer, tmp_path: Path, content: str, says: str
) -> None:
    (tmp_path / "render.toml").write_text(content)
    done = _once(_env(server), "--from", tmp_path / "render.toml")
    assert (done.returncode, says in done.stderr) == (78, True), done.stderr
