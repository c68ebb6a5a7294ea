"""Texts on a narrow terminal: broken between words, with nothing lost, and what is copied whole."""

from __future__ import annotations

import io
import os
import pty
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli.fitting import as_blocks, column_widths, fits_as_table, fitted, least_widths, width_of
from worker.cli.output import print_table

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=30).filter(str.isprintable)
COLUMNS = ("TARGET", "ACCESS KEY", "NEXT")
ROWS = (("media", "KWJYLVH5W4N5OW70D1KF", "2026-11-27 07:18:56 UTC"), ("web", "-", ""))


@given(st.lists(WORDS, min_size=1, max_size=30), st.integers(0, 8), st.integers(1, 200))
def test_every_word_is_there_and_no_line_is_longer_than_it_must_be(words: list[str], indent: int, width: int) -> None:
    line = " " * indent + " ".join(words)
    lines = fitted(line, width)
    assert " ".join(lines).split() == line.split()
    if len(lines) > 1:
        assert all(len(each) <= width or " " not in each.strip().replace("`", "") or "`" in each for each in lines)
        assert all(each.startswith(" " * (indent + 2)) for each in lines[1:])


def test_a_command_is_left_whole_also_within_a_sentence() -> None:
    assert fitted("  rotator settle media 4711 --revoke ACCESS_KEY", 30) == [
        "  rotator settle media 4711 --revoke ACCESS_KEY"
    ]
    assert fitted("To end it: `rotator resume media-uploads`.", 34) == [
        "To end it:",
        "  `rotator resume media-uploads`.",
    ]


def test_what_follows_a_name_stays_beside_it() -> None:
    assert fitted("paused   by alice until tomorrow, as we move", 30, 9) == [
        "paused   by alice until",
        "         tomorrow, as we move",
    ]


def test_on_the_narrowest_nothing_is_broken() -> None:
    assert fitted("a long sentence about something", 10) == ["a long sentence about something"]


def test_a_table_that_would_break_its_words_is_blocks() -> None:
    assert least_widths(COLUMNS, ROWS) == [6, 20, 10]
    assert fits_as_table(COLUMNS, ROWS, 60)
    assert not fits_as_table(COLUMNS, ROWS, 39)
    assert list(as_blocks(COLUMNS, ROWS, 39)) == [
        "media",
        "  access key  KWJYLVH5W4N5OW70D1KF",
        "  next        2026-11-27 07:18:56 UTC",
        "web",
    ]


@pytest.mark.parametrize("width", [40, 50, 60, 200])
def test_columns_share_the_width_and_none_gets_more_than_it_wants(width: int) -> None:
    widths = column_widths(COLUMNS, ROWS, width)
    wanted = [6, 20, 23]
    assert all(least <= each <= most for least, each, most in zip([6, 20, 10], widths, wanted, strict=True))
    assert sum(widths) == min(width - 4, sum(wanted)) or width < 40


@pytest.mark.parametrize(("given", "width"), [("72", 72), ("", 0), ("wide", 0), ("-1", 0)])
def test_columns_are_those_that_are_given_else_those_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, given: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", given)
    assert width_of(io.StringIO()) == 0, "no terminal"
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        assert width_of(terminal) == width
    os.close(ours)


@pytest.mark.parametrize("kind", ["xterm-256color", "vt100", "dumb"])
@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_a_table_fits_the_terminal_whatever_it_calls_itself(
    monkeypatch: pytest.MonkeyPatch, kind: str, width: int
) -> None:
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setenv("COLUMNS", str(width))
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        print_table(COLUMNS, ROWS)
        terminal.flush()
        shown = re.sub(r"\x1b\[[0-9;]*m", "", os.read(ours, 65536).decode())
    os.close(ours)
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 2 + len(ROWS), "nothing is broken where there is room"
