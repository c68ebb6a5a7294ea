"""The one place where errors become a message on stderr, an object in JSON, and an exit code; never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from worker.cli.output import OutputUnwritable, give_up, print_json, say
from worker.errors import ConfigurationError, RotatorError

UNEXPECTED = 1
INTERRUPTED = 130


def tell(error: Exception, *, as_json: bool) -> int:
    """Say what went wrong and what to do, and hand back the exit code."""
    for line in _lines(error) if isinstance(error, RotatorError) else _unexpected_lines(error):
        say(line)
    if as_json and not isinstance(error, OutputUnwritable):
        with suppress(OutputUnwritable):  # it has been said on stderr
            print_json({"error": document(error)})
    return error.exit_code if isinstance(error, RotatorError) else UNEXPECTED


def interrupted() -> int:
    """Say what becomes of what a command had begun when Ctrl-C ended it, and hand back the exit code."""
    say("Interrupted. What is on record by now goes on without this command; `rotator status` shows it.")
    return INTERRUPTED


def reader_gone() -> int:
    """Whoever read the output wanted no more of it (``| head``): that is no error. Hands back the exit code."""
    if sys.stdout:
        give_up(sys.stdout)
    return 0


def document(error: Exception) -> dict[str, Any]:
    """An error as JSON; of one that nobody foresaw only its kind, because its text may quote an answer."""
    if not isinstance(error, RotatorError):
        return {"what": f"unexpected {type(error).__name__}", "hint": _REPORT, "target": None, "request_id": None}
    facts: dict[str, Any] = {
        "what": error.what,
        "hint": error.hint,
        "target": error.target,
        "request_id": error.request_id,
        "kind": type(error).__name__,
    }
    return facts | ({"problems": list(error.problems)} if isinstance(error, ConfigurationError) else {})


def _lines(error: RotatorError) -> Iterator[str]:
    if isinstance(error, ConfigurationError):
        yield "rotator: this has to be put right first:"
        yield from (f"  {problem}" for problem in error.problems)
    else:
        yield f"rotator: {error.headline}"
    if error.hint:
        yield f"  {error.hint}"


_REPORT = (
    "This is a mistake in rotator. See with `rotator status` what was done before you run the command again, and "
    "please report it with what ROTATOR_DEBUG=1 shows, which holds no secrets."
)


def _unexpected_lines(error: Exception) -> Iterator[str]:
    from worker.logs.errors import add_error, in_a_word

    yield f"rotator: unexpected {in_a_word(error)}"
    yield f"  {_REPORT}"
    if os.environ.get("ROTATOR_DEBUG") == "1":
        yield from add_error(None, "", {"exc_info": error})["exception"].splitlines()
