"""How texts fit a narrow terminal: sentences are broken between words, and what is copied from there is left whole."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TextIO

NARROWEST = 20
"""On less than that nothing is broken: there would be a word on each line."""

LONGEST_UNBROKEN = 24
"""Words of a table up to this length, such as access keys, are not broken."""

BETWEEN_COLUMNS = 2

_QUOTED = re.compile("`[^`]*`")
_KEPT = "\N{NO-BREAK SPACE}"


def width_of(stream: TextIO) -> int:
    """The columns of the terminal that a stream is, or that COLUMNS says it has; 0: it is none."""
    try:
        if not stream.isatty():
            return 0
        given = os.environ.get("COLUMNS", "")
        return int(given) if given.isascii() and given.isdecimal() else os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def fitted(line: str, width: int, hanging: int | None = None) -> list[str]:
    """A line that is broken where it is too long; further ones begin ``hanging`` columns in, by default two more.

    A line that is a command is left whole, and so is one within a sentence: they are copied.
    """
    if len(line) <= width or width < NARROWEST or line.lstrip().startswith("rotator "):
        return [line]
    indent = hanging if hanging is not None else len(line) - len(line.lstrip(" ")) + 2
    kept = _QUOTED.sub(lambda found: found[0].replace(" ", _KEPT), line)
    broken = textwrap.wrap(
        kept, width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False, tabsize=1
    )
    return [each.replace(_KEPT, " ") for each in broken]


def fits_as_table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a table can be drawn without breaking its words."""
    return sum(least_widths(columns, rows)) + BETWEEN_COLUMNS * (len(columns) - 1) <= width


def least_widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """For each column its longest word, where that is not too long."""
    every = [columns, *rows]
    return [
        min(LONGEST_UNBROKEN, max((len(word) for row in every for word in row[place].split()), default=1))
        for place in range(len(columns))
    ]


def column_widths(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """How wide each column is drawn: what there is beyond the least goes to the narrowest that want more."""
    widths = least_widths(columns, rows)
    wanted = [max(len(row[place]) for row in (columns, *rows)) for place in range(len(columns))]
    left = width - BETWEEN_COLUMNS * (len(columns) - 1) - sum(widths)
    while left > 0 and (short := [place for place, each in enumerate(widths) if each < wanted[place]]):
        widths[min(short, key=widths.__getitem__)] += 1
        left -= 1
    return widths


def as_blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Each row as lines of its own, under what its first column says; what is empty is left out."""
    longest = max((len(column) for column in columns[1:]), default=0)
    for row in rows:
        yield from fitted(row[0], width)
        for name, cell in zip(columns[1:], row[1:], strict=True):
            if cell not in ("", "-"):
                yield from fitted(f"  {name.lower():<{longest}}  {cell}", width, longest + 4)
