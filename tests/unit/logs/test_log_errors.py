from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from worker.errors import VaultDenied, VaultSealed
from worker.events import Event
from worker.logs.redaction import Redactor
from worker.logs.setup import catch_uncaught, configure

CANARY = "cAnAry/+5ecret=="


def _lines(log_stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log_stream.getvalue().splitlines()]


def _line(log_stream: io.StringIO) -> dict[str, Any]:
    (line,) = _lines(log_stream)
    return line


def _raise(error: Exception, cause: Exception | None) -> None:
    a_local_variable = CANARY
    del a_local_variable
    raise error from cause


def _logged(log_stream: io.StringIO, error: Exception, cause: Exception | None = None) -> dict[str, Any]:
    configure("json", log_stream, Redactor())
    try:
        _raise(error, cause)
    except type(error):
        structlog.get_logger("worker").exception(Event.TARGET_FAILED, hint="our own hint")
    assert CANARY not in log_stream.getvalue()
    return _line(log_stream)


def test_an_error_of_ours_is_told_in_our_words(log_stream: io.StringIO) -> None:
    error = VaultDenied("the policy lacks update", path=CANARY, hint="its own hint")
    error.target, error.request_id = "media", "q-1"
    line = _logged(log_stream, error, ValueError(CANARY))
    assert (line["kind"], line["error"]) == ("VaultDenied", "the policy lacks update")
    assert (line["hint"], line["target"], line["request_id"]) == ("our own hint", "media", "q-1")
    assert line["exception"].startswith("ValueError\nwhich led to:\n  File ")
    assert line["exception"].endswith("VaultDenied: the policy lacks update")
    assert "raise error from cause" in line["exception"]


def test_the_text_of_a_foreign_error_stays_out(log_stream: io.StringIO) -> None:
    line = _logged(log_stream, ValueError(f"invalid answer {CANARY}"))
    assert line["kind"] == "ValueError"
    assert "error" not in line
    assert line["exception"].endswith("\nValueError")


def test_the_text_of_the_interpreter_s_errors_is_shown(log_stream: io.StringIO) -> None:
    line = _logged(log_stream, AttributeError("'NoneType' object has no attribute 'x'"))
    assert line["error"] == "'NoneType' object has no attribute 'x'"


class ConnectionFailed(OSError):
    """As libraries have them: of a kind of the interpreter's, with a text of their own."""


def test_a_library_s_own_kind_of_oserror_is_foreign(log_stream: io.StringIO) -> None:
    assert "error" not in _logged(log_stream, ConnectionFailed(CANARY))


def _raise_while_handling() -> None:
    try:
        _raise(KeyError(CANARY), None)
    except KeyError:
        raise VaultSealed("Vault is sealed")  # noqa: B904 - the context is what is shown here


def test_an_error_while_another_was_handled(log_stream: io.StringIO) -> None:
    configure("json", log_stream, Redactor())
    try:
        _raise_while_handling()
    except VaultSealed as error:
        structlog.get_logger("worker").warning(Event.TARGET_FAILED, exc_info=error)
    assert "\nKeyError\nwhile that was handled:\n" in _line(log_stream)["exception"]
    assert CANARY not in log_stream.getvalue()


def test_an_error_that_a_library_logs(log_stream: io.StringIO) -> None:
    configure("json", log_stream, Redactor())
    try:
        _raise(ValueError(CANARY), None)
    except ValueError:
        logging.getLogger("some.library").exception("it failed", stack_info=True)
    line = _line(log_stream)
    assert (line["event"], line["kind"], line["level"]) == ("it failed", "ValueError", "error")
    assert "stack_info" not in line
    assert line["exception"].endswith("\nValueError")
    assert CANARY not in log_stream.getvalue()


def _in_a_thread(run: Callable[[], None]) -> None:
    thread = threading.Thread(target=run, name="worker-7")
    thread.start()
    thread.join()


def test_what_nobody_catches_is_logged_and_not_printed(
    log_stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("json", log_stream, Redactor())
    catch_uncaught()

    def run() -> None:
        raise ValueError(CANARY)

    _in_a_thread(run)
    try:
        run()
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)
    assert [(line["event"], line["kind"], line["thread"]) for line in _lines(log_stream)] == [
        ("error.uncaught", "ValueError", "worker-7"),
        ("error.uncaught", "ValueError", threading.current_thread().name),
    ]
    assert CANARY not in log_stream.getvalue()
    assert capsys.readouterr() == ("", "")


def test_a_console_line_shows_the_traceback(log_stream: io.StringIO) -> None:
    configure("console", log_stream, Redactor())
    try:
        _raise(ValueError(CANARY), None)
    except ValueError:
        structlog.get_logger("worker").exception(Event.TARGET_FAILED)
    assert "raise error from cause" in log_stream.getvalue()
    assert CANARY not in log_stream.getvalue()
