"""What errors say: whatever they quote, it is one line of a bounded length."""

from __future__ import annotations

import pytest

from worker.errors import LONGEST_SAID, ConfigurationError, RotatorError, UsageError

ODD = "a\r\nforged line \x1b[2J \x9b31m \u202e \ud800 \x00 é"


@pytest.mark.parametrize(
    "error",
    [
        RotatorError(ODD, hint=ODD, target=ODD, request_id=ODD),
        UsageError("short", hint=ODD),
        ConfigurationError((ODD, "another"), hint=ODD),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_one_printable_line(error: RotatorError) -> None:
    shown = (str(error), repr(error), *error.fields().values(), *getattr(error, "problems", ()))
    assert all(text.isprintable() for text in shown)
    assert "é" in str(error)


def test_an_error_is_no_longer_than_a_person_reads() -> None:
    error = RotatorError("x" * 10**6, hint="y" * 10**6)
    assert len(str(error)) < 2 * LONGEST_SAID + 10


def test_every_problem_of_a_configuration_is_told() -> None:
    problems = tuple(f"target[{number}]: {'x' * 100}" for number in range(200))
    error = ConfigurationError((*problems, "y" * 10**6))
    assert error.problems[:200] == problems
    assert all(problem in error.what for problem in problems)
    assert len(error.problems[200]) < LONGEST_SAID + 10
