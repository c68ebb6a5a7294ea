"""Values of the API are checked where they enter."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from worker.adapters.hostup.values import count_problem, key_name_problem, request_id_problem, secret_problem

NAMES = [key_name_problem, request_id_problem]


@pytest.mark.parametrize("problem", NAMES)
@pytest.mark.parametrize("value", ["x", "AKIAEXAMPLE", "2121ae20-bd9d-41e9-aeeb-5dd1dd1a24ba", "...", "é", "x" * 128])
def test_names(problem: Callable[[object], str | None], value: object) -> None:
    assert problem(value) is None


@pytest.mark.parametrize("problem", NAMES)
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (12, "not a text"),
        ({}, "not a text"),
        (True, "not a text"),
        (b"x", "not a text"),
        ("", "empty"),
        (".", "dot"),
        ("..", "dot"),
        ("x" * 129, "more than 128"),
        ("a b", "blanks"),
        ("a\n", "blanks"),
        ("a\x00", "control"),
        ("a\x7f", "control"),
        ("a\u202e", "control"),
        ("\ud800", "control"),
    ],
)
def test_what_is_no_name(problem: Callable[[object], str | None], value: object, words: str) -> None:
    sentence = problem(value)
    assert sentence is not None
    assert words in sentence
    assert sentence.endswith(".")


def test_an_access_key_has_to_be_there_and_a_request_id_not() -> None:
    assert key_name_problem(None) == "The access key is not a text."
    assert request_id_problem(None) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "not a text"),
        (1234567890123456, "not a text"),
        ("", "empty"),
        ("x" * 15, "fewer than 16"),
        ("x" * 257, "more than 256"),
        ("0123456789 abcdef", "blanks"),
        ("0123456789\x1babcdef", "control"),
    ],
)
def test_what_is_no_secret(value: object, words: str) -> None:
    sentence = secret_problem(value)
    assert sentence is not None
    assert words in sentence
    assert len(str(value)) < 10 or str(value) not in sentence


@pytest.mark.parametrize("value", ["x" * 16, "wJalrXUtnFEMI/K7MDENG+bPxRfiCY==", "x" * 256])
def test_secrets(value: str) -> None:
    assert secret_problem(value) is None


@pytest.mark.parametrize("value", [None, 0, 1, 10**9])
def test_counts(value: object) -> None:
    assert count_problem(value) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "whole number"),
        (2.0, "whole number"),
        (float("nan"), "whole number"),
        ("2", "whole number"),
        ([], "whole number"),
        (-1, "negative"),
        (10**9 + 1, "above"),
    ],
)
def test_what_is_no_count(value: object, words: str) -> None:
    assert words in (count_problem(value) or "")
