from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.settings.configuring import TARGET, problems, read


def test_by_default_all_that_matters_is_logged(tmp_path: Path) -> None:
    log = read(tmp_path).log
    assert (log.level, log.format) == ("info", "auto")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_there_are_four_levels(tmp_path: Path, level: str) -> None:
    assert read(tmp_path, f'[log]\nlevel = "{level}"\n{TARGET}').log.level == level


def test_anything_else_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, f'[log]\nlevel = "verbose"\nformat = "xml"\n{TARGET}') == [
        'FILE: [log] level: "verbose" is not known; allowed are debug, info, warning, error',
        'FILE: [log] format: "xml" is not known; allowed are auto, json, text',
    ]
