"""What a log line says of an exception: its kind, our own words, and where it was raised; never a variable's value.

The text of an error is shown when this project or the interpreter wrote it. Any other may quote an answer, as hvac's
and pydantic's do, and is left out: kind and place tell where to look.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from types import TracebackType

from structlog.typing import EventDict

from worker.errors import RotatorError
from worker.printable import printable

_WRITTEN_BY_THE_INTERPRETER = (AttributeError, ImportError, MemoryError, NameError, OSError, RecursionError, TypeError)
_MOST_FRAMES = 40


def add_error(logger: object, method: str, event_dict: EventDict) -> EventDict:
    """The processor: turns ``exc_info`` into the fields ``kind``, ``error`` … and ``exception``, the traceback."""
    del logger, method
    event_dict.pop("stack_info", None)
    error = _exception(event_dict.pop("exc_info", None))
    if error is None:
        return event_dict
    for name, value in describe(error).items():
        event_dict.setdefault(name, value)
    event_dict["exception"] = "\n".join(_lines(error))
    return event_dict


def describe(error: BaseException) -> dict[str, str]:
    """An exception as fields of a log line; what is empty is left out."""
    if isinstance(error, RotatorError):
        return error.fields()
    fields = {"kind": type(error).__name__, "error": text_of(error)}
    return {name: value for name, value in fields.items() if value}


def text_of(error: BaseException) -> str:
    """What the error says, if its text is ours or the interpreter's; else nothing."""
    if isinstance(error, RotatorError):
        return error.what
    if isinstance(error, _WRITTEN_BY_THE_INTERPRETER) and type(error).__module__ == "builtins":
        return str(error)
    return ""


def in_a_word(error: BaseException) -> str:
    """The error on one line: its kind, and its text where that may be shown."""
    return ": ".join(filter(None, (type(error).__name__, text_of(error))))


def _exception(exc_info: object) -> BaseException | None:
    match exc_info:
        case BaseException():
            return exc_info
        case (_, BaseException() as error, _):
            return error
        case None | False:
            return None
    return sys.exc_info()[1]


def _lines(error: BaseException) -> Iterator[str]:
    """The traceback, the cause first, as the interpreter prints it, but without texts that may quote an answer."""
    for link, again in _chain(error):
        if again:
            yield again
        yield from _frames(link.__traceback__)
        yield printable(in_a_word(link))


def _chain(error: BaseException) -> list[tuple[BaseException, str]]:
    """The errors that led to this one, first to last, with what joins each to the one before."""
    links: list[tuple[BaseException, str]] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        cause, context = link.__cause__, None if link.__suppress_context__ else link.__context__
        joint = "which led to:" if cause else "while that was handled:" if context else ""
        links.append((link, joint))
        link = cause or context
    return links[::-1]


def _frames(start: TracebackType | None) -> Iterator[str]:
    stack = traceback.StackSummary.extract(traceback.walk_tb(start), limit=-_MOST_FRAMES, capture_locals=False)
    for entry in stack.format():
        yield from map(printable, entry.rstrip("\n").split("\n"))
