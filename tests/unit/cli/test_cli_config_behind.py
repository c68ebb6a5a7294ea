"""The configuration may be named before the command, also before one of those for apps."""

from __future__ import annotations

import pytest

from worker.cli import config_behind


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        (["status"], ["status"]),
        (["run", "--path=P", "--", "CMD"], ["run", "--path=P", "--", "CMD"]),
        (["--config", "F", "run", "--path=P", "--", "CMD"], ["run", "--config", "F", "--path=P", "--", "CMD"]),
        (["--config=F", "credentials", "media"], ["credentials", "--config=F", "media"]),
        (["--config", "F"], ["--config", "F"]),
        (["--config"], ["--config"]),
        (["--json", "status"], ["--json", "status"]),
    ],
)
def test_the_command_comes_first_and_nothing_is_lost(given: list[str], expected: list[str]) -> None:
    assert config_behind(given) == expected
