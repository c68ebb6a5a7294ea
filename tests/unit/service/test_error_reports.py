"""What is reported to Sentry has been through the log's redaction, and through it once more when it leaves."""

from __future__ import annotations

import io
import logging
from contextlib import closing

import pytest
import structlog

from tests.collector import bodies, reports
from tests.sandbox import wait_until
from tests.wire import Wire, answer
from worker.events import Event
from worker.logs.redaction import Redactor
from worker.logs.setup import configure
from worker.secret import Secret
from worker.service.telemetry.errors import ErrorReports

CANARY = "cAnAry-5ecret-of-the-report"


def _dsn(wire: Wire) -> Secret:
    return Secret(wire.url.replace("://", "://public@") + "/7")


def _failing() -> None:
    raise ValueError(f"it said {CANARY}")


def _said(wire: Wire) -> str:
    wait_until(lambda: reports(wire) != [], "a report")
    return b"".join(bodies(wire)).decode("utf-8", "replace")


def test_a_secret_in_a_line_and_in_its_traceback_is_not_reported(log_stream: io.StringIO) -> None:
    redactor = Redactor([Secret(CANARY)])
    with Wire(answer(200)) as wire, closing(ErrorReports(redactor)) as sender:
        configure("json", log_stream, redactor, logging.INFO, sender)
        sender.open(_dsn(wire), "here")
        log = structlog.get_logger("worker.rotation")
        try:
            _failing()
        except ValueError:
            log.exception(Event.TASK_FAILED, error=f"it said {CANARY}", target=CANARY, more=[{"deep": CANARY}])
        said = _said(wire)
    assert CANARY not in said
    assert "it said ***" in said
    assert "ValueError" in said


@pytest.mark.parametrize("line", [{"error": f"it said {CANARY}"}, {"target": CANARY}, {"more": {"deep": [CANARY]}}])
def test_what_the_log_has_not_redacted_is_redacted_when_it_leaves(line: dict[str, object]) -> None:
    with Wire(answer(200)) as wire, closing(ErrorReports(Redactor([Secret(CANARY)]))) as sender:
        sender.open(_dsn(wire), "here")
        sender(None, "error", {"event": "task.failed", "level": "error", **line})
        said = _said(wire)
    assert CANARY not in said
    assert "***" in said


def test_what_the_sdk_adds_is_redacted_too() -> None:
    with Wire(answer(200)) as wire, closing(ErrorReports(Redactor([Secret(CANARY)]))) as sender:
        sender.open(_dsn(wire), f"worker-{CANARY}")
        sender(None, "error", {"event": "task.failed", "level": "error"})
        assert CANARY not in _said(wire)
        (report,) = reports(wire)
    assert report["server_name"] == "worker-***"
