"""What people read: times, entries, tables; nothing from outside gets through to the terminal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.records import DAY, MINUTE, NOW, SECOND
from worker.cli.output import print_facts, print_table
from worker.cli.texts import entry_text, span, when
from worker.printable import printable
from worker.rotation.history import Entry, decode_entry


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0 s"),
        (59 * SECOND, "59 s"),
        (MINUTE, "1 min"),
        (59 * MINUTE + 59 * SECOND, "59 min"),
        (timedelta(hours=25), "1 d"),
        (-30 * DAY, "30 d"),
    ],
)
def test_a_length_of_time_is_told_in_its_largest_unit(length: timedelta, text: str) -> None:
    assert span(length) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, ""),
        ("", ""),
        (NOW + 2 * DAY, "2026-11-26 12:00:00 UTC (in 2 d)"),
        ("2026-11-24T13:59:00+02:00", "2026-11-24 11:59:00 UTC (1 min ago)"),
    ],
)
def test_a_moment_is_told_in_utc_with_its_distance(moment: str | None, text: str) -> None:
    assert when(moment, NOW) == text


def test_an_entry_tells_every_id() -> None:
    entry = Entry(
        number=7,
        at=datetime(2026, 11, 24, 12, 0, tzinfo=UTC),
        event="secret.published",
        rotation_id="shown above the line",
        request_id="request-1",
        access_key="AK1",
        facts={"vault_version": 3, "requests": ["message-1", "message-2"], "duration_ms": 12},
    )
    assert entry_text(entry) == (
        "2026-11-24 12:00:00Z  secret.published    requestId request-1, access key AK1, Vault version 3, "
        "requests message-1 and message-2, took 12 ms"
    )


def test_a_garbled_entry_is_shown_as_one() -> None:
    assert entry_text(decode_entry("{")).strip() == "?"


def test_nothing_moves_the_cursor() -> None:
    assert printable("label \x1b[2J\r\nä") == r"label \x1b[2J\r\nä"


def test_a_table_without_a_terminal_is_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("TARGET", "PHASE"), [("media", "idle"), ("a\tb", "[red]failed")])
    assert capsys.readouterr().out == "TARGET  PHASE\nmedia   idle\na\\tb    [red]failed\n"


def test_what_has_no_value_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("target", "media"), ("requestId", ""), ("key", "AK1")])
    assert capsys.readouterr().out == "target  media\nkey     AK1\n"
