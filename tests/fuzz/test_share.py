"""The share of the fuzz that each test run takes: what failed once, then the same inputs on every machine."""

from __future__ import annotations

import pytest

from tests.fuzz.corpus import keep, kept
from tests.fuzz.parts import NAMES, part_named
from tests.fuzz.runner import Found, Work, run

SEED = "the share of each test run"


@pytest.mark.parametrize("name", NAMES)
def test_what_failed_once_fails_no_more(name: str) -> None:
    files = kept(name)
    assert _told(run(Work(name, files=files)) if files else []) == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_share_of_inputs(name: str) -> None:
    assert _told(run(Work(name, SEED, inputs=part_named(name).share))) == ""


def _told(faults: list[Found]) -> str:
    """Every fault with its input, which is kept, so that the next run begins with it."""
    return "\n\n".join(f"{each}\nkept as {keep(each.finding, each.data)}" for each in faults)
