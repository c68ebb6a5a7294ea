"""Logs: one line for each event, JSON in service and readable on a terminal, the libraries' lines among them.

Our own events go straight to the stream, because the detour through :mod:`logging` costs three times as much. What
libraries log comes by the root logger's one handler. Both end in the same processors, the last of which redacts.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, Protocol, TextIO

import structlog
from structlog.contextvars import merge_contextvars
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.processors import TimeStamper, add_log_level
from structlog.stdlib import ProcessorFormatter, add_logger_name
from structlog.typing import EventDict, Processor, WrappedLogger

from worker.events import Event
from worker.logs.errors import add_error
from worker.logs.lines import Lines
from worker.logs.records import QUIET, take_record
from worker.logs.redaction import Redactor
from worker.printable import printable

Mode = Literal["json", "console"]

_FIRST = ("timestamp", "level", "event", "logger", "target")
_ALWAYS_AT_LEAST = logging.INFO
"""Libraries are never logged below this level: botocore logs headers when debugging."""

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_UNREAD = "Nobody read this log for a while: see what it goes to. Rotations went on; Vault's history has what they did."


class Signal(Protocol):
    """What is used of Celery's signals."""

    def connect(self, receiver: Callable[..., None], *, weak: bool) -> object:
        """Have a function called when the signal is sent."""
        ...


def mode_for(stream: TextIO, wanted: str = "auto") -> Mode:
    """``json``, ``text``, or ``auto``: readable on a terminal, else JSON."""
    as_text = stream.isatty() if wanted == "auto" else wanted == "text"
    return "console" if as_text else "json"


def configure(mode: Mode, stream: TextIO, redactor: Redactor, level: int = logging.INFO, *taps: Processor) -> None:
    """Send everything that is logged in this process to ``stream``; may be called again.

    ``level`` is that of this project's own events; libraries are logged from INFO on at most. ``taps`` see our own
    events from INFO on, also those that are not written, without secrets.
    """
    lines = Lines(stream, _tell_lost)
    common: list[Processor] = [add_log_level, add_logger_name, TimeStamper(fmt="iso", utc=True), add_error]
    last: list[Processor] = [redactor, *_renderers(mode, stream)]
    own = [redactor, *taps, _from(level), *_renderers(mode, stream)] if taps else last
    structlog.configure(
        processors=[merge_contextvars, *common, *own],
        wrapper_class=structlog.make_filtering_bound_logger(min(level, logging.INFO) if taps else level),
        logger_factory=lambda *names: _LineLogger(names[0] if names else "worker", lines),
        cache_logger_on_first_use=False,  # a cached logger would keep an earlier stream and redactor
    )
    _configure_libraries([take_record, *common], last, lines, max(level, _ALWAYS_AT_LEAST))


def take_over(setup_logging: Signal) -> None:
    """Keep Celery from setting up logging by itself: to be called with ``celery.signals.setup_logging``."""
    setup_logging.connect(_already_done, weak=False)


def catch_uncaught() -> None:
    """Log what nobody catches, in any thread, instead of having the interpreter print it with its text."""

    def main_thread(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            _uncaught(error, threading.current_thread())

    def other_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            _uncaught(args.exc_value, args.thread)

    def nowhere(args: Any) -> None:  # sys.UnraisableHookArgs, which exists for type checkers only
        if args.exc_value is not None:
            _uncaught(args.exc_value, threading.current_thread())

    sys.excepthook = main_thread
    threading.excepthook = other_thread
    sys.unraisablehook = nowhere


def _uncaught(error: BaseException, thread: threading.Thread | None) -> None:
    log = structlog.get_logger("worker")
    log.critical(Event.ERROR_UNCAUGHT, exc_info=error, thread=thread.name if thread else None)


def _configure_libraries(first: Sequence[Processor], last: Sequence[Processor], lines: Lines, level: int) -> None:
    handler = logging.StreamHandler(lines)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=first,
            processors=[ProcessorFormatter.remove_processors_meta, *last],
            use_get_message=False,
            pass_foreign_args=True,
        )
    )
    logging.raiseExceptions = False  # else a line that cannot be formatted is printed to stderr with its arguments
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name, lowest in QUIET.items():
        logging.getLogger(name).setLevel(max(level, lowest))
    logging.getLogger("celery.beat").addFilter(_says_something_new)


def _says_something_new(record: logging.LogRecord) -> bool:
    """Beat complains of every tick that it cannot send, and of every try; that Redis cannot be used is told once."""
    return not str(record.msg).startswith(("Message Error", "beat: Connection error"))


def _renderers(mode: Mode, stream: TextIO) -> list[Processor]:
    if mode == "json":
        return [_as_json]
    return [_on_one_line, ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain_traceback)]


def _from(level: int) -> Processor:
    """Drops what is less grave."""

    def is_grave(logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
        del logger, method
        if logging.getLevelNamesMapping()[event_dict["level"].upper()] < level:
            raise structlog.DropEvent
        return event_dict

    return is_grave


def _as_json(logger: WrappedLogger, method: str, event_dict: EventDict) -> str:
    """One line, with what one looks for first at its beginning; every value is of JSON's own types by now."""
    del logger, method
    return json.dumps({**{name: event_dict[name] for name in _FIRST if name in event_dict}, **event_dict})


def _on_one_line(logger: WrappedLogger, method: str, event_dict: EventDict) -> EventDict:
    """Nothing that comes from outside may move the terminal's cursor or begin a line; JSON needs no such care.

    What is in a list or a mapping is shown as Python writes it, which is printable. A traceback has lines of its own,
    each of which is printable already (:mod:`worker.logs.errors`).
    """
    del logger, method
    return {
        printable(name): value if not isinstance(value, str) or name == "exception" else printable(value)
        for name, value in event_dict.items()
    }


def _already_done(**_: object) -> None:
    """Celery sets logging up only if nobody receives its signal."""


def _tell_lost(lines: int) -> None:
    """Said as soon as somebody reads again."""
    structlog.get_logger("worker").warning(Event.LINES_LOST, lines=lines, hint=_UNREAD)


class _LineLogger:
    """What structlog's processors end in: a logger's name, and the stream."""

    def __init__(self, name: str, lines: Lines) -> None:
        self.name = name
        self._lines = lines

    def msg(self, message: str) -> None:
        """Write one line."""
        self._lines.write(message + "\n")

    debug = info = warning = error = critical = msg
