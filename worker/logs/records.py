"""What becomes of the lines that libraries log by themselves.

Celery dumps a message's arguments when it does not know the task, and logs what tasks return and raise (docs/facts.md,
"Celery on Redis"). A message's arguments come from anybody who can write to the queue, so such lines are made anew: an
event's name and the task's. The texts are those of celery 5.7 (``worker/consumer/consumer.py``, ``app/trace.py``,
``worker/strategy.py``); a line that is not recognised keeps its text, which still goes through redaction.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from structlog.typing import EventDict

from worker.events import Event

QUIET: Mapping[str, int] = {
    "celery.app.trace": logging.WARNING,  # what each task returned
    "celery.beat": logging.WARNING,  # each tick that is sent
    "celery.worker.strategy": logging.WARNING,  # each message that is received
    **dict.fromkeys(("opentelemetry", "sentry_sdk"), logging.CRITICAL),  # each export that failed: it is told once
    "urllib3.connectionpool": logging.ERROR,  # each try of theirs that they repeat
    **dict.fromkeys(("amqp", "asyncio", "botocore", "kombu", "redis"), logging.WARNING),
    **dict.fromkeys(("hpack", "httpcore", "httpx", "hvac", "requests", "urllib3"), logging.WARNING),  # every URL
}
"""The lowest level at which these libraries are logged; what they say below it is for their own makers."""

_LONGEST_NAME = 200
_REFUSED = (
    ("celery.worker.consumer.consumer", "Received invalid task message"),
    ("celery.worker.consumer.consumer", "Can't decode message body"),
    ("celery.worker.consumer.consumer", "Received and deleted unknown message"),
    ("celery.worker.strategy", "Couldn't convert ETA"),
)


def take_record(logger: object, method: str, event_dict: EventDict) -> EventDict:
    """The first processor for a library's line: its text, or the event that stands for it."""
    del logger, method
    record: logging.LogRecord = event_dict["_record"]
    args = event_dict.pop("positional_args", ())
    template = str(record.msg)
    if record.name == "celery.worker.consumer.consumer" and template.startswith("Received unregistered task"):
        return _instead(event_dict, Event.TASK_UNKNOWN, task=_task_name(args))
    if any(record.name == name and template.startswith(start) for name, start in _REFUSED):
        return _instead(event_dict, Event.TASK_REFUSED)
    if record.name == "celery.app.trace" and isinstance(args, Mapping):
        return _traced(event_dict, record, args)
    event_dict["event"] = _text(template, args)
    return event_dict


def _instead(event_dict: EventDict, event: Event, **fields: object) -> EventDict:
    event_dict.pop("exc_info", None)
    return {**event_dict, "event": event.value, **{name: value for name, value in fields.items() if value}}


def _traced(event_dict: EventDict, record: logging.LogRecord, args: Mapping[str, object]) -> EventDict:
    """A task's end: which task; of an error its kind and traceback, and never what it returned or was called with."""
    event_dict["event"] = Event.TASK_FAILED.value if record.levelno >= logging.WARNING else str(record.msg)
    return {**event_dict, "task": str(args.get("name", "")), "task_id": str(args.get("id", ""))}


def _task_name(args: object) -> str:
    """The name in the headers, which are the third argument of the line about an unknown task."""
    match args:
        case (_, _, {"task": str(name)}, *_):
            return name[:_LONGEST_NAME]
    return ""


def _text(template: str, args: Any) -> str:
    try:
        return template % args if args else template
    except (TypeError, ValueError, KeyError):
        return template  # a library's own mistake is no reason to lose its line
