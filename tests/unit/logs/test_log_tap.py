"""What sees our own events beside the stream: without secrets, and also what is too little grave to be written."""

from __future__ import annotations

import io
import json
import logging

import structlog

from worker.events import Event
from worker.logs.redaction import Redactor
from worker.logs.setup import configure
from worker.notices.judging import READ
from worker.secret import Secret
from worker.service.notices.feed import MOST, Feed

CANARY = "cAnAry-5ecret-of-the-feed"


def test_it_sees_events_that_are_not_written_and_no_secret(log_stream: io.StringIO) -> None:
    feed = Feed(READ)
    configure("json", log_stream, Redactor([Secret(CANARY)]), logging.ERROR, feed)
    log = structlog.get_logger("worker.rotation")
    log.info(Event.SECRET_PUBLISHED, target="media", error=f"it said {CANARY}")
    log.info(Event.KEY_CREATED, target="media")
    log.error(Event.CONFLICT_FOUND, target="media")
    logging.getLogger("celery").error("secret.published")
    first, second = feed.next(), feed.next()
    assert first
    assert second
    assert (first["event"], second["event"]) == ("secret.published", "conflict.found")
    assert first["error"] == "it said ***"
    written = [json.loads(line)["event"] for line in log_stream.getvalue().splitlines()]
    assert written == ["conflict.found", "secret.published"]


def test_who_logs_never_waits_and_what_is_lost_is_counted() -> None:
    feed = Feed(READ)
    for _ in range(MOST + 5):
        feed(None, "info", {"event": "key.died"})
    assert feed.lost() == 5
    assert feed.lost() == 0
    feed.end()
    assert feed.next() is None
