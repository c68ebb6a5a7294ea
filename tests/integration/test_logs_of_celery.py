from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from tests.integration.celery_logging import CANARY

LONGEST_SECONDS = 60


def _run(level: int) -> tuple[list[dict[str, Any]], str]:
    """The lines of a worker that found every kind of message, and everything it wrote."""
    command = [sys.executable, "-m", "tests.integration.celery_logging", str(level)]
    child = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=True)
    return [json.loads(line) for line in child.stdout.splitlines()], child.stdout + child.stderr


@pytest.fixture(scope="module")
def lines() -> list[dict[str, Any]]:
    found, written = _run(logging.INFO)
    assert CANARY not in written
    return found


def _of(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == event]


def test_every_line_of_celery_is_json_of_our_form(lines: list[dict[str, Any]]) -> None:
    assert all({"timestamp", "level", "event", "logger"} <= line.keys() for line in lines)
    assert any(line["event"].endswith(" ready.") and line["logger"] == "celery.apps.worker" for line in lines)


def test_of_an_unknown_task_only_the_name_is_logged(lines: list[dict[str, Any]]) -> None:
    (line,) = _of(lines, "task.unknown")
    assert {name: line[name] for name in line if name != "timestamp"} == {
        "level": "error",
        "event": "task.unknown",
        "logger": "celery.worker.consumer.consumer",
        "task": "t.unknown",
    }


def test_messages_that_are_no_tasks_are_refused_without_their_content(lines: list[dict[str, Any]]) -> None:
    refused = _of(lines, "task.refused")
    assert [line["level"] for line in refused] == ["warning", "error", "critical"]
    assert all(line.keys() == {"timestamp", "level", "event", "logger"} for line in refused)


def test_of_a_task_that_fails_name_kind_and_place_are_logged(lines: list[dict[str, Any]]) -> None:
    (line,) = _of(lines, "task.failed")
    assert (line["task"], line["kind"]) == ("t.fails", "ValueError")
    assert line["exception"].endswith("raise ValueError(value)\nValueError")


def test_what_a_task_returns_is_not_logged(lines: list[dict[str, Any]]) -> None:
    assert "t.returns" not in json.dumps(lines)


def test_debugging_shows_no_more_of_celery() -> None:
    _, written = _run(logging.DEBUG)
    assert CANARY not in written
