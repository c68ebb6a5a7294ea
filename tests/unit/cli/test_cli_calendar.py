"""The calendar of what will happen, and its form for calendar programs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.records import DAY, NOW, current, empty, retiring
from tests.worlds import TARGET
from worker.cli.calendar import Appointment, calendar
from worker.cli.ics import LONGEST_LINE, as_ics, folded
from worker.rotation.record import Paused, Record
from worker.targets.freeze import Freeze
from worker.targets.schedule import Schedule, next_due

RECORD = replace(empty(), current=current())
HOSTILE = "a;b,c\\d\r\nBEGIN:VEVENT\u202e"


def kinds(record: Record | None, days: int) -> list[tuple[str, datetime]]:
    records = {TARGET.name: record} if record else {}
    found = calendar([TARGET], records, NOW, days * DAY)
    return [(each.kind, each.at) for each in found.appointments]


def test_rotations_come_when_the_schedule_wants_them_and_each_ends_the_key_before() -> None:
    first = next_due(TARGET.schedule, TARGET.name, NOW - DAY, NOW)
    second = next_due(TARGET.schedule, TARGET.name, first, first)
    assert kinds(RECORD, 60) == [
        ("rotation", first),
        ("retirement", first + TARGET.grace),
        ("rotation", second),
        ("retirement", second + TARGET.grace),
    ]


def test_a_target_without_a_key_is_rotated_at_once_and_retires_nothing() -> None:
    assert kinds(None, 20) == [("rotation", NOW)]


def test_what_is_retiring_is_in_it_also_what_should_be_gone() -> None:
    record = replace(RECORD, retiring=(retiring("LATE"), retiring("SOON", DAY), retiring("GONE", deleted=True)))
    assert kinds(record, 5) == [("retirement", NOW), ("retirement", NOW + DAY)]


def test_hours_with_many_rotations_are_named() -> None:
    many = [replace(TARGET, name=f"t{n}", schedule=Schedule(cron="0 3 * * *")) for n in range(20)]
    fresh = replace(current(), published_at=NOW - timedelta(hours=1))
    records = {target.name: replace(RECORD, target=target.name, current=fresh) for target in many}
    found = calendar(many, records, NOW, 3 * DAY)
    assert [number for _, number in found.crowded()] == [20, 20, 20]
    assert {hour.hour for hour, _ in found.crowded()} == {3}
    assert calendar(many[:5], records, NOW, 3 * DAY).crowded() == ()


def test_an_endless_calendar_is_cut_and_says_so() -> None:
    often = replace(TARGET, schedule=Schedule(every=timedelta(minutes=1)), grace=timedelta(seconds=10))
    assert calendar([often], {TARGET.name: RECORD}, NOW, 30 * DAY).cut == (TARGET.name,)


def test_a_target_that_is_never_rotated_by_itself_has_no_rotations() -> None:
    manual = replace(TARGET, schedule=Schedule(every=timedelta.max))
    assert calendar([manual], {TARGET.name: RECORD}, NOW, 30 * DAY).appointments == ()


def test_it_knows_pauses_freezes_and_what_a_person_has_set() -> None:
    def rotations(record: Record, **changes: object) -> list[datetime]:
        target = replace(TARGET, **changes)  # type: ignore[arg-type]  # fields that exist
        found = calendar([target], {TARGET.name: record}, NOW, 60 * DAY)
        return [each.at for each in found.appointments if each.kind == "rotation"]

    first, second = rotations(RECORD)
    pause = Paused(at=NOW, by="anna", reason="", until=first + DAY)
    assert rotations(replace(RECORD, paused=pause))[0] == first + DAY
    assert rotations(replace(RECORD, paused=replace(pause, until=None))) == []
    assert rotations(replace(RECORD, next_at=NOW + DAY))[0] == NOW + DAY
    freeze = Freeze(second - DAY, second + DAY, "Black Friday")
    assert rotations(RECORD, freezes=(freeze,))[0] == first
    assert rotations(RECORD, freezes=(freeze,))[1] >= freeze.ends


@given(st.text(max_size=300))
def test_folding_can_be_undone_and_no_line_is_too_long(text: str) -> None:
    line = f"SUMMARY:{text}".replace("\r", "").replace("\n", "").encode(errors="ignore").decode()
    pieces = list(folded(line))
    assert all(len(piece.encode()) <= LONGEST_LINE for piece in pieces)
    assert pieces[0] + "".join(piece.removeprefix(" ") for piece in pieces[1:]) == line
    assert all(piece.startswith(" ") for piece in pieces[1:])


def test_an_appointment_reads_as_rfc_5545_has_it() -> None:
    text = as_ics([Appointment(NOW, "media", "rotation", "a new key")], NOW)
    lines = text.split("\r\n")
    assert lines[0] == "BEGIN:VCALENDAR"
    assert lines[-2:] == ["END:VCALENDAR", ""]
    assert "DTSTART:20261124T120000Z" in lines
    assert "SUMMARY:rotation of media" in lines
    assert "\n" not in text.replace("\r\n", "")


def test_nothing_from_outside_makes_a_line_of_its_own() -> None:
    text = as_ics([Appointment(NOW, HOSTILE, "rotation", HOSTILE)], NOW)
    assert text.count("\r\nBEGIN:VEVENT") == 1
    assert r"a\;b\,c\\d\\r\\nBEGIN:VEVENT\\u202e" in text.replace("\r\n ", "")


def test_two_things_at_once_have_names_of_their_own_that_stay() -> None:
    pair = [Appointment(NOW, "media", "rotation", "x"), Appointment(NOW, "films", "rotation", "x")]
    names = [line for line in as_ics(pair, NOW).split("\r\n") if line.startswith("UID:")]
    assert len(set(names)) == 2
    assert names == [line for line in as_ics(pair, NOW + DAY).split("\r\n") if line.startswith("UID:")]
