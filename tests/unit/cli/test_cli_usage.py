"""The command line itself: options before and after the command, help, completion, and what is imported for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.unit.settings.configuring import ENV, TARGET
from worker import __version__
from worker.cli.commands import app

COMMANDS = {
    "worker", "rotate", "status", "history", "trace", "check", "audit", "settle", "adopt", "repair", "sandbox",
    "circuit", "rename", "remove", "find", "pause", "resume", "reschedule", "rollback", "accept-chain",
}  # fmt: skip
HEAVY = {"pydantic", "rich", "httpcore", "hvac", "redis", "celery", "structlog", "botocore"}


pytestmark = pytest.mark.usefixtures("log_stream")


def rotator(*arguments: str, **env: str) -> Result:
    """The command, in this process; only these variables are set of those that it knows."""
    unset = dict.fromkeys((*ENV, "ROTATOR_CONFIG"), None)
    return CliRunner().invoke(app, arguments, prog_name="rotator", env={**unset, **env})


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "rotator.toml"
    second = TARGET.replace('"media"', '"mailing"').replace("apps/media", "apps/mailing")
    file.write_text(TARGET + second + TARGET.replace('"media"', '"web"').replace("apps/media", "apps/web"))
    return str(file)


def test_every_command_is_there_and_has_help() -> None:
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert commands >= COMMANDS
    told = rotator("--help").stdout
    assert all(f"  {name} " in told for name in COMMANDS)


def test_version() -> None:
    done = rotator("--version")
    assert (done.exit_code, done.stdout) == (0, f"rotator {__version__}\n")


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(argument: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "worker.cli", argument],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in imported
    assert not HEAVY & imported


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("status", "--no-such-option"),
        ("rotate",),
        ("worker", "--concurrency", "0"),
        ("worker", "--concurrency", "many"),
        ("settle", "--foreign", "-1"),
    ],
)
def test_usage_is_exit_2(arguments: tuple[str, ...]) -> None:
    done = rotator(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "Usage: rotator" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("rotate", "media", "--timeout", "soon"),
        ("rotate", "media", "--reason", "x" * 201),
        ("rotate", "nobody"),
        ("status", "nobody"),
        ("settle",),
        ("settle", "media", "--none", "--deleted"),
        ("settle", "media", "--foreign", "3"),
        ("adopt", "nobody", "--access-key", "AK1"),
        ("repair", "nobody"),
        ("remove", "media", "--yes"),
    ],
)
def test_what_does_not_exist_is_exit_2_before_anything_is_called(config: str, arguments: tuple[str, ...]) -> None:
    done = rotator("--config", config, *arguments, **ENV)
    assert done.exit_code == 2, done.stderr
    assert done.stderr.startswith("rotator: ")


@pytest.mark.parametrize("place", ["before", "after"])
def test_options_stand_before_or_after_the_command(tmp_path: Path, place: str) -> None:
    options = ("--config", str(tmp_path / "not-there.toml"), "--json")
    done = rotator(*options, "status") if place == "before" else rotator("status", *options)
    assert done.exit_code == 78
    problems = json.loads(done.stdout)["error"]["problems"]
    assert any("not-there.toml" in problem for problem in problems)


@pytest.mark.parametrize("command", ["worker", "audit"])
def test_all_problems_are_told_at_once_and_none_of_the_secrets(config: str, command: str) -> None:
    Path(config).write_text(TARGET.replace("24h", "soon") + 'colour = "red"\n')
    env = {**ENV, "VAULT_ADDR": "http://vault.example", "HOSTUP_API_KEY": "canary secret", "REDIS_URL": "canary://x"}
    done = rotator(command, "--config", config, **env)
    assert done.exit_code == 78
    for name in ("grace", "colour", "VAULT_ADDR", "HOSTUP_API_KEY", "REDIS_URL"):
        assert sum(f": {name}: " in line for line in done.stderr.splitlines()) == 1, done.stderr
    assert "canary" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_check_of_a_wrong_configuration_is_that_alone(config: str) -> None:
    done = rotator("check", "--config", config, "--json", **{**ENV, "VAULT_TOKEN": ""})
    assert done.exit_code == 78
    assert [(line["check"], line["ok"]) for line in json.loads(done.stdout)] == [("configuration", False)]


def test_a_reader_that_has_gone_is_no_mistake(config: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", "check", "--json", "--config", config],
        env={"PATH": os.environ["PATH"]},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("rotate m", {"media", "mailing"}),
        ("rotate w", {"web"}),
        ("status me", {"media"}),
        ("history x", set()),
    ],
)
def test_names_of_targets_are_completed(config: str, words: str, names: set[str]) -> None:
    assert complete(f"rotator {words}", ROTATOR_CONFIG=config) == names


def test_completion_takes_the_configuration_that_was_typed(config: str) -> None:
    assert complete(f"rotator --config {config} rotate w") == {"web"}


def test_completion_is_silent_about_what_is_wrong(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("[[target")
    assert complete("rotator rotate m", ROTATOR_CONFIG=str(broken)) == set()


def complete(line: str, **env: str) -> set[str]:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    done = rotator(**words, **env, _ROTATOR_COMPLETE="complete_bash")
    assert done.stderr == ""
    return set(done.stdout.split())
