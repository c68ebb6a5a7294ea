"""Output that cannot be written: one line, an exit code that says so, never a traceback, never "run it again"."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.settings.configuring import ENV, TARGET
from worker.cli.output import OutputUnwritable, print_json, print_lines, print_table, progress, say

FULL = "/dev/full"
"""A device on which no space is ever left."""

pytestmark = pytest.mark.skipif(not Path(FULL).exists(), reason=f"needs {FULL}")


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "rotator.toml"
    file.write_text(TARGET, "utf-8")
    return file


def rotator(config: Path, arguments: str, redirection: str, **more: str) -> Done:
    """The command as a shell runs it, with nothing that answers behind it."""
    away = {"VAULT_ADDR": "https://127.0.0.1:1", "REDIS_URL": "redis://127.0.0.1:1/0", "ROTATOR_CONFIG": str(config)}
    line = f'exec "{sys.executable}" -m worker.cli {arguments} {redirection}'
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        env={**ENV, **away, "PATH": os.environ["PATH"], **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("arguments", ["check --no-keys", "check --no-keys --json", "--json check --no-keys"])
@pytest.mark.parametrize(("redirection", "why"), [(f">{FULL}", "No space left"), (">&-", "stdout is closed")])
def test_a_result_that_cannot_be_written(config: Path, arguments: str, redirection: str, why: str) -> None:
    done = rotator(config, arguments, redirection)
    assert done.code == 1
    [said, hint] = done.err.splitlines()
    assert said.startswith(f"rotator: the result could not be written: {why}")
    assert "stays done" in hint
    assert "run the command again" not in done.err


NOWHERE = [(f">{FULL}", "No space left on device"), (">&-", "stdout is closed"), ("<&- >&-", "stdout is closed")]


@pytest.mark.parametrize("argument", ["--help", "--version", "status --help", "rotate -h", "--show-completion bash"])
@pytest.mark.parametrize(("redirection", "why"), NOWHERE)
def test_what_typer_writes_itself_and_cannot_be_written(
    config: Path, argument: str, redirection: str, why: str
) -> None:
    # typer would else look which shell it was started by: in a test there may be none
    done = rotator(config, argument, redirection, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert (done.code, done.err) == (1, f"rotator: the output could not be written: {why}\n")


@pytest.mark.parametrize("instruction", ["complete_bash", "source_bash", "source_zsh"])
@pytest.mark.parametrize(("redirection", "why"), NOWHERE)
def test_a_completion_that_cannot_be_written(config: Path, instruction: str, redirection: str, why: str) -> None:
    words = {"COMP_WORDS": "rotator st", "COMP_CWORD": "1", "_ROTATOR_COMPLETE": instruction}
    done = rotator(config, "", redirection, **words)
    assert (done.code, done.err) == (1, f"rotator: the output could not be written: {why}\n")


@pytest.mark.parametrize("redirection", [">&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_wrong_usage_is_one_also_without_stdout(config: Path, redirection: str) -> None:
    done = rotator(config, "nosuch", redirection)
    assert (done.code, "No such command" in done.err) == (2, "2>" not in redirection)


@pytest.mark.parametrize("redirection", [f"2>{FULL}", "2>&-"])
@pytest.mark.parametrize(
    ("arguments", "code"), [("status", 75), ("status nosuch", 2), ("check --no-keys", 1), ("circuit --json", 75)]
)
def test_without_stderr_the_exit_code_still_says_what_was_done(
    config: Path, arguments: str, code: int, redirection: str
) -> None:
    done = rotator(config, arguments, redirection)
    assert done.code == code
    assert "Traceback" not in done.out + done.err


@pytest.mark.parametrize("redirection", [f">{FULL} 2>{FULL}", ">&- 2>&-"])
def test_without_either_there_is_still_an_exit_code(config: Path, redirection: str) -> None:
    assert rotator(config, "check --no-keys", redirection) == Done(1, "", "")


def test_a_reader_that_has_gone_is_no_error(config: Path) -> None:
    done = rotator(config, "check --no-keys", "| head -n 1")
    assert len(done.out.splitlines()) == 1
    assert "Traceback" not in done.err


def test_an_error_is_said_once_where_its_json_cannot_be_written(config: Path) -> None:
    done = rotator(config, "status nosuch --json", f">{FULL}")
    assert done.code == 2
    assert done.err.count("rotator:") == 1


@pytest.mark.parametrize("gone", [None, "closed"])
def test_every_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gone: str | None) -> None:
    with (tmp_path / "out").open("w", encoding="utf-8") as stream:
        pass
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None if gone is None else stream)
    say("nobody sees it")
    progress("counting")(1, 1) if gone is None else None
    with pytest.raises(OutputUnwritable):
        print_json({})
    with pytest.raises(OutputUnwritable):
        print_lines(["x"])
    if gone is None:
        with pytest.raises(OutputUnwritable):
            print_table(["A"], [["x"]])
