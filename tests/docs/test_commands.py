"""The commands that the pages show, run one after another as a reader would; see ``<!-- tested -->`` in the pages."""

from __future__ import annotations

import pytest

from tests.docs.pages import ARCHITECTURE, DOCS, README
from tests.docs.session import Session, Step, steps

PAGES = (README, ARCHITECTURE, *DOCS)


def test_the_commands_that_pages_show_work(reader: Session) -> None:
    """The README's first, as they leave a worker that runs; what a page sets in its shell ends with the page."""
    ran = 0
    for page in PAGES:
        if page is not README:
            reader.run(Step(page.name, "bash --norc"))
        for code in page.code:
            if code.tested:
                for step in steps(code):
                    reader.run(step)
                    ran += 1
        if page is not README:
            reader.run(Step(page.name, "exit"))
    assert ran > 8


def test_what_is_not_as_shown_is_noticed(reader: Session) -> None:
    reader.run(Step("here", "echo 3 keys, then 12", ("5 keys, then 7",)))
    for step in (
        Step("here", "echo no keys", ("3 keys",)),
        Step("here", "printf 'a\\nb\\n'", ("a",)),
        Step("here", "printf 'a\\nb\\n'", ("b", "...", "a")),
        Step("here", "false"),
    ):
        with pytest.raises(AssertionError):
            reader.run(step)


def test_an_id_of_a_page_stands_for_the_one_that_came_out(reader: Session) -> None:
    shown, real = "ABCDEFGHIJKLMNOPQRST", "TSRQPONMLKJIHGFEDCBA"
    reader.run(Step("here", f"echo the key {real}", (f"the key {shown}",)))
    reader.run(Step("here", f"test {shown} = {real[:10]}{real[10:]}"))
