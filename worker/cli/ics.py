"""A calendar in the form of RFC 5545, for programs that show calendars. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256

from worker.cli.calendar import Appointment
from worker.printable import printable

LONGEST_LINE = 75
"""Bytes of a line, without its end; what is longer goes on in a line that begins with a blank."""

_ESCAPED = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,"})


def as_ics(appointments: Iterable[Appointment], now: datetime) -> str:
    """All of it, with the line ends that the form asks for."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//hostup-rotator//plan//EN", "CALSCALE:GREGORIAN"]
    for each in appointments:
        lines += _event(each, now)
    lines.append("END:VCALENDAR")
    return "".join(f"{part}\r\n" for line in lines for part in folded(line))


def _event(each: Appointment, now: datetime) -> Iterator[str]:
    name = sha256(f"{each.target}\n{each.kind}\n{each.at.isoformat()}\n{each.what}".encode()).hexdigest()[:32]
    yield "BEGIN:VEVENT"
    yield f"UID:{name}@hostup-rotator"
    yield f"DTSTAMP:{_stamp(now)}"
    yield f"DTSTART:{_stamp(each.at)}"
    yield f"SUMMARY:{_text(f'{each.kind} of {each.target}')}"
    yield f"DESCRIPTION:{_text(each.what)}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def folded(line: str) -> Iterator[str]:
    """A line in pieces of at most 75 bytes, cut between characters; all but the first begin with a blank."""
    piece = ""
    for letter in line:
        if len((piece + letter).encode()) > LONGEST_LINE:
            yield piece
            piece = " "
        piece += letter
    yield piece


def _stamp(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(value: str) -> str:
    return printable(value).translate(_ESCAPED)
