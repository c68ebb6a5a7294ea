from __future__ import annotations

import fcntl
import io
import json
import logging
import os
import select
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from tests.servers import wait_until
from worker.events import Event
from worker.logs.lines import MOST_WAITING
from worker.logs.redaction import Redactor
from worker.logs.setup import configure, mode_for, take_over
from worker.secret import Secret

CANARY = "cAnAry/+5ecret=="


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _lines(log_stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log_stream.getvalue().splitlines()]


def _line(log_stream: io.StringIO) -> dict[str, Any]:
    (line,) = _lines(log_stream)
    return line


def test_an_event_is_one_line_of_json(log_stream: io.StringIO) -> None:
    configure("json", log_stream, Redactor())
    log = structlog.get_logger("worker.rotation")
    log.info(Event.KEY_CREATED, target="media", rotation_id="r-1", request_id="q-1", access_key="AK", duration_ms=12)
    assert log_stream.getvalue().endswith("\n")
    line = _line(log_stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "event": "key.created",
        "logger": "worker.rotation",
        "target": "media",
        "rotation_id": "r-1",
        "request_id": "q-1",
        "access_key": "AK",
        "duration_ms": 12,
    }
    assert list(_line(log_stream))[:5] == ["timestamp", "level", "event", "logger", "target"]


def test_what_is_bound_to_the_context_is_on_every_line_of_ours(log_stream: io.StringIO) -> None:
    configure("json", log_stream, Redactor())
    with structlog.contextvars.bound_contextvars(task_id="t-1"):
        structlog.get_logger("worker.a").warning(Event.KEY_STRAY)
    assert (_line(log_stream)["task_id"], _line(log_stream)["level"]) == ("t-1", "warning")


def test_a_line_of_a_library_has_the_same_form(log_stream: io.StringIO) -> None:
    configure("json", log_stream, Redactor([Secret(CANARY)]))
    logging.getLogger("celery.worker.consumer.connection").info("Connected to %s", f"redis://:{CANARY}@h:6379/0")
    line = _line(log_stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "celery.worker.consumer.connection",
        "event": "Connected to redis://***@h:6379/0",
    }


@pytest.mark.parametrize("name", ["httpx", "httpcore.connection", "botocore.auth", "urllib3.response", "kombu"])
def test_libraries_that_log_urls_and_headers_are_quiet(log_stream: io.StringIO, name: str) -> None:
    configure("json", log_stream, Redactor(), logging.DEBUG)
    logging.getLogger(name).info("HTTP Request: GET https://h/?%s", CANARY)
    assert log_stream.getvalue() == ""
    logging.getLogger(name).warning("not good")
    assert _line(log_stream)["event"] == "not good"


def test_the_level_is_that_of_our_own_events(log_stream: io.StringIO) -> None:
    configure("json", log_stream, Redactor(), logging.DEBUG)
    structlog.get_logger("worker").debug("ours")
    logging.getLogger("some.library").debug("theirs")
    assert [line["event"] for line in _lines(log_stream)] == ["ours"]
    configure("json", log_stream, Redactor(), logging.ERROR)
    structlog.get_logger("worker").warning("ours")
    logging.getLogger("some.library").warning("theirs")
    logging.getLogger("httpx").warning("theirs")
    assert len(_lines(log_stream)) == 1


def test_a_line_that_a_library_formats_wrongly_is_not_lost(
    log_stream: io.StringIO, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("json", log_stream, Redactor())
    logging.getLogger("some.library").warning("%d of them", CANARY)
    assert _line(log_stream)["event"] == "%d of them"
    assert capsys.readouterr() == ("", "")


def test_warnings_are_lines_too(log_stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        configure("json", log_stream, Redactor([Secret(CANARY)]))
        warnings.warn(f"use of {CANARY}", UserWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert _line(log_stream)["logger"] == "py.warnings"
    assert "use of ***" in _line(log_stream)["event"]


def test_configuring_again_replaces_what_was_there(log_stream: io.StringIO) -> None:
    first = io.StringIO()
    log = structlog.get_logger("worker")
    for out in (first, log_stream):
        configure("json", out, Redactor())
        log.info("ours")
        logging.getLogger("some.library").info("theirs")
    assert [line["event"] for line in _lines(first)] == ["ours", "theirs"]
    assert [line["event"] for line in _lines(log_stream)] == ["ours", "theirs"]


def test_on_a_terminal_lines_are_coloured_and_elsewhere_they_are_not(log_stream: io.StringIO) -> None:
    terminal = _Terminal()
    for out in (log_stream, terminal):
        configure("console", out, Redactor([Secret(CANARY)]))
        structlog.get_logger("worker").info(Event.KEY_CREATED, target="media", note=f"with {CANARY}")
    assert "key.created" in log_stream.getvalue()
    assert "target=media" in log_stream.getvalue()
    assert "\x1b" not in log_stream.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert CANARY not in log_stream.getvalue() + terminal.getvalue()
    assert (mode_for(log_stream), mode_for(terminal)) == ("json", "console")


def test_on_a_terminal_nothing_from_outside_moves_the_cursor(log_stream: io.StringIO) -> None:
    configure("console", log_stream, Redactor())
    structlog.get_logger("worker").info("an\x1b[2J event", answer="\x1b[2Jcleared\r\n", **{"a\x9b31m\r\nfield": 1})
    assert log_stream.getvalue().removesuffix("\n").isprintable()


class _Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(text)


@pytest.mark.parametrize("out", [_Gone(), io.TextIOWrapper(io.BytesIO(), encoding="ascii")])
def test_a_line_that_cannot_be_written_stops_nobody(log_stream: io.StringIO, out: io.TextIOBase) -> None:
    del log_stream
    configure("console", out, Redactor())  # type: ignore[arg-type]  # a TextIOBase is as good as a TextIO here
    structlog.get_logger("worker").info("ä")
    logging.getLogger("some.library").warning("ä")
    out.close()
    structlog.get_logger("worker").info("closed")
    logging.getLogger("some.library").warning("closed")


def test_what_a_stream_cannot_encode_is_escaped(log_stream: io.StringIO) -> None:
    del log_stream
    raw = io.BytesIO()
    configure("console", io.TextIOWrapper(raw, encoding="ascii"), Redactor())
    structlog.get_logger("worker").info("ä")
    assert b"\\xe4" in raw.getvalue()


def test_lines_of_many_threads_do_not_mix(log_stream: io.StringIO) -> None:
    configure("json", log_stream, Redactor())

    def run() -> None:
        for number in range(200):
            structlog.get_logger("worker").info("ours", number=number)
            logging.getLogger("some.library").info("theirs %d", number)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_lines(log_stream)) == 4 * 200 * 2


class _Slow(io.StringIO):
    """A stream whose first write takes until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.let_go = threading.Event(), threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.let_go.wait(30)
        return super().write(text)


def test_a_slow_stream_holds_up_one_thread_and_loses_no_line(log_stream: io.StringIO) -> None:
    del log_stream
    slow = _Slow()
    configure("json", slow, Redactor())
    log = structlog.get_logger("worker")
    first = threading.Thread(target=log.info, args=("first",))
    first.start()
    assert slow.reached.wait(30)
    for number in range(100):
        log.info("left to the first", number=number)
    slow.let_go.set()
    first.join(30)
    told = _lines(slow)
    assert [line["event"] for line in told] == ["first", *["left to the first"] * 100]
    assert [line["number"] for line in told[1:]] == list(range(100))


def test_lines_that_pile_up_are_waited_for_for_a_moment(log_stream: io.StringIO) -> None:
    del log_stream
    slow = _Slow()
    configure("json", slow, Redactor())
    written: list[int] = []

    def run() -> None:
        for number in range(MOST_WAITING + 100):
            structlog.get_logger("worker").info("one of many")
            written.append(number)

    first = threading.Thread(target=structlog.get_logger("worker").info, args=("first",))
    first.start()
    assert slow.reached.wait(30)
    second = threading.Thread(target=run)
    second.start()
    wait_until(lambda: len(written) >= MOST_WAITING, "the second thread to wait")
    assert len(written) == MOST_WAITING, "nothing piles up without end"
    slow.let_go.set()
    for thread in (first, second):
        thread.join(30)
    assert len(_lines(slow)) == 1 + MOST_WAITING + 100


def test_a_pipe_that_nobody_reads_holds_nobody_up_and_what_was_lost_is_told(log_stream: io.StringIO) -> None:
    del log_stream
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, select.PIPE_BUF)
    more = 50
    with os.fdopen(writing, "w") as stream:
        configure("json", stream, Redactor())
        log = structlog.get_logger("worker")
        for number in range(2 * MOST_WAITING):
            log.info("one of many", number=number)
        log.info("long", text="x" * (2 * select.PIPE_BUF))
        with os.fdopen(reading) as reader:
            told = [json.loads(reader.readline())]
            while told[-1]["event"] != "lines.lost":
                told.append(json.loads(reader.readline()))
            for number in range(more):
                log.info("read", number=number)
            assert [json.loads(reader.readline())["number"] for _ in range(more)] == list(range(more))
    numbers = [line["number"] for line in told if line["event"] == "one of many"]
    assert numbers == list(range(len(numbers))), "the oldest are kept, in their order"
    assert len(numbers) + told[-1]["lines"] == 2 * MOST_WAITING + 1


class _Signal:
    """As Celery's: keeps who wants to be called, and whether it would be forgotten."""

    def __init__(self) -> None:
        self.kept: list[tuple[Callable[..., None], bool]] = []

    def connect(self, receiver: Callable[..., None], *, weak: bool) -> object:
        self.kept.append((receiver, weak))
        return receiver


def test_celery_is_kept_from_setting_up_logging() -> None:
    signal = _Signal()
    take_over(signal)
    ((receiver, weak),) = signal.kept
    assert not weak
    receiver(loglevel=20, logfile=None, format="", colorize=False, sender=None, signal=signal)
