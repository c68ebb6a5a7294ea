"""Every command's help has an example, and that is one of this command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from worker.cli.commands import app
from worker.credentials.command import SUMMARIES


def commands(group: Any, *before: str) -> Iterator[tuple[str, Any]]:
    """All that can be called, by name, but those for apps: they have a parser of their own."""
    for name, command in group.commands.items():
        words = (*before, name)
        if hasattr(command, "commands"):
            yield from commands(command, *words)
        elif name not in SUMMARIES:
            yield " ".join(words), command


COMMANDS = dict(commands(typer.main.get_command(app)))


def test_all_are_looked_at() -> None:
    assert COMMANDS.keys() >= {"audit", "status", "vault policy", "vault setup", "notify test", "rehearse"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_has_an_example_with_options_that_there_are(name: str) -> None:
    command = COMMANDS[name]
    _, found, example = (command.help or "").partition("Example: ")
    assert found
    words = example.split()
    assert words[: len(name.split()) + 1] == ["rotator", *name.split()]
    own = words[: words.index("--")] if "--" in words else words
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in own if word.startswith("--")} <= known


@pytest.mark.parametrize("name", SUMMARIES)
def test_so_has_that_of_a_command_for_apps(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", name, "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert f"rotator {name} --path apps/" in done.stdout
