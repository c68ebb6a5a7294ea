"""A test of the tests: builds that break a promise, and the tests that have to notice.

The tests run in a process of their own, on a copy of the package with the mistake in it. What counts is that a test
fails; that it cannot be collected, or that there is no such test, would prove nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.builds import MUTANTS, Edit, Mutant, build

SOME_FAILED = 1
"""Pytest's exit code when tests ran and some failed; 2 and more are other troubles."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_broken_build_is_caught(mutant: Mutant, tmp_path: Path) -> None:
    build(mutant, tmp_path)
    done = _run(mutant.caught_by, tmp_path)
    assert done.returncode == SOME_FAILED, f"{mutant.name} was not caught:\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
    assert "NameError" not in done.stdout, f"{mutant.name} does not even run:\n{done.stdout[-3000:]}"


def test_a_change_that_no_longer_fits_is_told(tmp_path: Path) -> None:
    stale = Mutant("stale", (Edit("worker/rotation/records.py", "no such line", ""),), ())
    with pytest.raises(ValueError, match="no such line"):
        build(stale, tmp_path)


def test_the_tests_run_on_the_copy(tmp_path: Path) -> None:
    broken = Edit("worker/__init__.py", "__version__", 'raise SystemExit("this is the copy")\n__version__')
    build(Mutant("broken", (broken,), ()), tmp_path)
    assert "this is the copy" in _run(("tests/unit/rotation/test_decide.py",), tmp_path).stderr


def _run(tests: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "--exitfirst", "--quiet", "--no-header", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *tests],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
