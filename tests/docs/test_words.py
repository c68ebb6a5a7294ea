"""The pages use the words of the glossary, and those that were given up do not come back."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ALL, Page, page
from worker.rotation.record import Phase

GIVEN_UP = (
    r"mint(?:s|ed|ing)?",
    r"wish(?:es)?",
    r"aside",
    r"whoever",
    r"what cannot be had",
    r"a time to wait for",
    r"unknown_mints",
    r"change_surely",
    r"DeclareUnknown",
)
"""Words that no stranger knows, or that were names once; only CHANGELOG.md may tell of them."""

_GIVEN_UP = re.compile(rf"(?<![\w-])(?:{'|'.join(GIVEN_UP)})(?![\w-])", re.IGNORECASE)
_ELSEWHERE = re.compile(r"\b(?:design|hostup-api|vault|examples)\.md\b")
"""Files that are not in this repository."""


@pytest.mark.parametrize("each", [each for each in ALL if each.name != "CHANGELOG.md"], ids=lambda each: each.name)
def test_words_that_were_given_up_do_not_come_back(each: Page) -> None:
    assert _GIVEN_UP.findall(each.text) == []


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_no_page_names_a_file_that_is_not_here(each: Page) -> None:
    assert _ELSEWHERE.findall(each.text) == []


def test_such_a_word_would_be_noticed() -> None:
    assert _GIVEN_UP.findall("An unknown mint; Whoever minted it. A hint, a considered wish, an inside") == [
        "mint",
        "Whoever",
        "minted",
        "wish",
    ]


def test_the_glossary_explains_what_a_target_can_be_and_do() -> None:
    text = page("glossary.md").text
    assert [phase for phase in Phase if f"*{phase}*" not in text] == []


def test_no_word_is_explained_twice() -> None:
    words = [row[0] for row in page("glossary.md").table("word")]
    assert len(words) == len(set(words))
