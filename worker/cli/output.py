"""Where output goes: the result to stdout, as JSON or for people; everything else to stderr.

Nothing that comes from outside (a label, an error's text) may move the terminal's cursor or be taken for markup.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TextIO

from worker.cli.fitting import BETWEEN_COLUMNS, as_blocks, column_widths, fits_as_table, fitted, width_of
from worker.cli.options import Options
from worker.errors import RotatorError
from worker.printable import printable, printable_json

MANY_LINES = 1000
"""Of a terminal, for what is not paged."""

MANY = 100
"""From so many on, counting them is worth a look at how far it is."""


def result(options: Options, document: Any, human: Callable[[], None]) -> None:
    """Print the result: ``document`` as JSON if that was asked for, else what ``human`` prints for people."""
    if options.as_json:
        print_json(document)
    else:
        human()


def print_json(document: Any) -> None:
    """One JSON document on stdout; a long list has a line for each element, which takes a fourth of the time.

    What is not printable is escaped, and where stdout takes no Unicode everything that is not ASCII.
    """
    to_ascii = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") != "utf8"
    if isinstance(document, list) and len(document) >= MANY:
        text = "[\n" + ",\n".join(json.dumps(each, ensure_ascii=to_ascii) for each in document) + "\n]"
    else:
        text = json.dumps(document, indent=2, ensure_ascii=to_ascii)
    _write(printable_json(text) + "\n")


def print_lines(lines: Iterable[str], hanging: int | None = None) -> None:
    """Lines on stdout, for people: on a terminal that is too narrow they are broken between words."""
    width = width_of(sys.stdout) if sys.stdout else 0
    print_document(part for line in lines for part in fitted(printable(line), width or sys.maxsize, hanging))


def print_document(lines: Iterable[str]) -> None:
    """Lines on stdout as they are: of a page, a table for programs, or what is copied."""
    _write("".join(f"{printable(line)}\n" for line in lines))


def print_text(text: str) -> None:
    """A text on stdout whose lines end as its form asks for; what is in them is printable."""
    _write(text)


def say(text: str) -> None:
    """One line on stderr: progress, warnings and errors. Where that cannot be written, nobody can be shown anything."""
    width = width_of(sys.stderr) if sys.stderr else 0
    _to_stderr("".join(f"{part}\n" for part in fitted(printable(text), width or sys.maxsize)))


def progress(what: str) -> Callable[[int, int], None]:
    """A counter for what takes long: rewrites one line of a terminal, and says nothing elsewhere."""

    def show(done: int, total: int) -> None:
        if sys.stderr and total >= MANY and sys.stderr.isatty():
            _to_stderr(f"\r{what}: {done} of {total}" + ("\r\x1b[K" if done == total else ""))

    return show


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Rows under headings on stdout: drawn with rich on a terminal, else columns with spaces between them.

    On a terminal that is too narrow for that, each row is some lines of its own.
    """
    cleaned = [[printable(cell) for cell in row] for row in rows]
    width = width_of(sys.stdout) if sys.stdout else 0
    if not width:
        print_document(_spaced(columns, cleaned))
    elif fits_as_table(columns, cleaned, width):
        _draw(columns, cleaned, width)
    else:
        print_document(as_blocks(columns, cleaned, width))


def print_facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values below each other on stdout; what has no value is left out."""
    known = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in known), default=0)
    print_lines((f"{name:<{width}}  {value}" for name, value in known), width + 2)


class OutputUnwritable(RotatorError):
    """The result could not be written to stdout: it is closed, or its disk is full. The work was done before."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"the result could not be written: {why}",
            hint="What the command did before stays done; `rotator status` and `rotator history` show it.",
        )


def _write(text: str) -> None:
    """Raises OutputUnwritable, and BrokenPipeError where a reader has gone (``| head``)."""
    if not sys.stdout:
        raise OutputUnwritable("stdout is closed")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()  # here, and not when the interpreter ends
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as error:
        give_up(sys.stdout)
        raise OutputUnwritable(why_unwritable(error)) from None


def why_unwritable(error: Exception) -> str:
    """Why stdout could not be written."""
    if not isinstance(error, OSError) or error.errno == errno.EBADF:
        return "stdout is closed"
    return error.strerror or type(error).__name__


def _to_stderr(text: str) -> None:
    if not sys.stderr:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        give_up(sys.stderr)


def give_up(stream: TextIO) -> None:
    """Have what is left in a stream that cannot be written go nowhere: else the interpreter fails as it ends."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _spaced(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    every = [columns, *rows]
    widths = [max(len(row[place]) for row in every) for place in range(len(columns))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in every]


def _draw(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, BETWEEN_COLUMNS - 1, 0, 0), pad_edge=False, show_edge=False)
    for column, its in zip(columns, column_widths(columns, rows, width), strict=True):
        drawn.add_column(column, overflow="fold", width=its)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    # with a height rich believes the width of a terminal that calls itself dumb, too: of others it asks for neither
    Console(file=sys.stdout, width=width, height=MANY_LINES).print(drawn)
