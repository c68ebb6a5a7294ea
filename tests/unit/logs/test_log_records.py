from __future__ import annotations

import io
import json
import logging
from importlib import import_module
from typing import Any

import pytest
from celery.app import trace

from worker.logs.redaction import Redactor
from worker.logs.setup import configure

consumer: Any = import_module("celery.worker.consumer.consumer")  # its texts are missing in the type stubs
CANARY = "cAnAry/+5ecret=="


def _line(log_stream: io.StringIO) -> dict[str, str]:
    assert CANARY not in log_stream.getvalue()
    (line,) = [json.loads(line) for line in log_stream.getvalue().splitlines()]
    return {name: value for name, value in line.items() if name not in ("timestamp", "logger", "level")}


@pytest.mark.parametrize(
    ("template", "args"),
    [
        (consumer.UNKNOWN_FORMAT, (CANARY,)),
        (consumer.INVALID_TASK_ERROR, (KeyError(CANARY), CANARY)),
        (consumer.MESSAGE_DECODE_ERROR, (KeyError(CANARY), "json", "utf-8", CANARY, CANARY)),
    ],
)
def test_messages_that_are_no_tasks_are_refused(
    log_stream: io.StringIO, template: str, args: tuple[object, ...]
) -> None:
    configure("json", log_stream, Redactor())
    logging.getLogger(consumer.__name__).error(template, *args, exc_info=KeyError(CANARY))
    assert _line(log_stream) == {"event": "task.refused"}


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ({"task": "t.x", "argsrepr": CANARY}, {"task": "t.x"}),
        ({"task": 5, "argsrepr": CANARY}, {}),
        ("", {}),
        (None, {}),
    ],
)
def test_of_an_unknown_task_the_name_is_shown_if_it_is_one(
    log_stream: io.StringIO, headers: object, shown: dict[str, str]
) -> None:
    configure("json", log_stream, Redactor())
    logging.getLogger(consumer.__name__).error(consumer.UNKNOWN_TASK_ERROR, KeyError(CANARY), CANARY, headers, CANARY)
    assert _line(log_stream) == {"event": "task.unknown"} | shown


def test_the_name_of_an_unknown_task_is_cut(log_stream: io.StringIO) -> None:
    configure("json", log_stream, Redactor())
    headers = {"task": "x" * 5000}
    logging.getLogger(consumer.__name__).error(consumer.UNKNOWN_TASK_ERROR, KeyError(), "", headers, "")
    assert len(_line(log_stream)["task"]) == 200


def test_what_a_task_returns_is_not_logged_even_where_its_end_is(log_stream: io.StringIO) -> None:
    configure("json", log_stream, Redactor())
    logging.getLogger(trace.__name__).setLevel(logging.INFO)
    context = {"name": "t.x", "id": "1", "runtime": 0.1, "return_value": CANARY, "args": CANARY, "kwargs": CANARY}
    trace.info(trace.LOG_SUCCESS, context)
    assert _line(log_stream) == {"event": trace.LOG_SUCCESS, "task": "t.x", "task_id": "1"}
