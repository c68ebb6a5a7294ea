"""The report for auditors, from a history that real steps made, and from one that means harm."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from tests.records import NOW, request
from tests.worlds import TARGET, Small
from worker.cli.report_page import page
from worker.cli.report_tables import as_csv, as_document
from worker.events import Event
from worker.rotation.evidence.report import Completeness, Period, Report, TargetHistory, report
from worker.rotation.history import Entry
from worker.rotation.reconcile import accept
from worker.rotation.steps.publish import publish, verify
from worker.rotation.steps.rollback import Wanted, begin_rollback, rollback_of
from worker.rotation.steps.session import Session
from worker.rotation.trace import entries
from worker.targets.schedule import Schedule, next_due

DAY = timedelta(days=1)
COUNTED = Completeness(NOW, 3, 2, 1, 0)
HOSTILE = "<script>alert(1)</script> \"'&\u202e\x1b[2J"


def source(known: tuple[Entry, ...]) -> TargetHistory:
    return TargetHistory(
        name=TARGET.name,
        entries=known,
        path=TARGET.path,
        schedule="every 30d",
        due=lambda published: next_due(TARGET.schedule, TARGET.name, published, published),
        oldest=TARGET.schedule.every,
    )


def made(known: tuple[Entry, ...], since: timedelta = timedelta(0), until: timedelta = 999 * DAY) -> Report:
    period = Period(NOW + since, NOW + until)
    return report([source(known)], period, COUNTED, NOW + 999 * DAY)


@pytest.fixture(scope="module")
def world() -> Small:
    """Four rotations on schedule, the last one a day late: no worker ran."""
    small = Small()
    for _ in range(3):
        small.look()
        small.passes(days=2)
        small.look()  # deletes
        small.passes(minutes=1)
        small.look()  # proves
        small.passes(days=28)
    small.passes(days=1)
    small.look()
    return small


def test_the_numbers_are_those_of_the_world(world: Small) -> None:
    found = made(entries(world.store, TARGET.name))
    rotations, keys = list(found.all_rotations()), list(found.all_keys())
    assert [each.access_key for each in rotations] == list(world.hostup.made)
    assert [each.create_request_id for each in rotations] == [f"request-of-{key}" for key in world.hostup.made]
    assert {key.access_key for key in keys if key.state == "current"} == {world.hostup.made[-1]}
    assert {key.access_key for key in keys if key.state != "dead"} == set(world.hostup.living)
    dead = [key for key in keys if key.state == "dead"]
    assert [key.delete_request_id for key in dead] == [f"delete-of-{key.access_key}" for key in dead]
    for key in dead:
        assert key.replaced_at
        assert key.grace_end == key.replaced_at + TARGET.grace
        assert key.deleted_at
        assert key.deleted_at >= key.grace_end
        assert key.alive_after is not None
        assert key.refused_by


def test_a_rotation_that_was_late_is_an_exception_and_makes_the_key_too_old(world: Small) -> None:
    found = made(entries(world.store, TARGET.name), until=92 * DAY)
    late = [each for each in found.all_exceptions() if each.kind == "late"]
    assert len(late) == 1
    assert late[0].access_key == world.hostup.made[-1]
    target = found.targets[0]
    assert target.in_policy is False
    assert target.greatest_age
    assert 31 * DAY < target.greatest_age < 32 * DAY


def rolled_back(days: int) -> Small:
    """AK1, 20 days old, is current again since AK2 was taken back; then so many days pass."""
    small = Small()
    small.look()
    small.passes(days=20)
    accept(small.services, TARGET, request("first", small.clock.now()))
    small.look()
    work = Session(small.services, TARGET, small.store.load(TARGET.name, TARGET.path))
    wanted = Wanted(None, "lacks a bucket", "alice")
    intent = rollback_of(work, wanted)
    begin_rollback(work, intent, "alice")
    verify(work, intent.id)
    publish(work, intent.id)
    small.passes(days=days)
    small.look()
    return small


def test_a_key_that_came_back_is_in_policy_and_its_successor_on_time() -> None:
    small = rolled_back(10)
    found = made(entries(small.store, TARGET.name), until=31 * DAY)
    (target,) = found.targets
    assert target.rotations[-1].access_key == "AK3"
    assert target.rotations[-1].late_by is not None
    assert target.rotations[-1].late_by < DAY
    assert [each.kind for each in found.all_exceptions() if each.kind == "late"] == []
    assert target.in_policy is True


def test_a_key_that_came_back_stands_in_the_version_that_was_written_last() -> None:
    small = rolled_back(10)
    history = entries(small.store, TARGET.name)
    written = {e.access_key: e.facts["vault_version"] for e in history if e.event == Event.SECRET_PUBLISHED}
    keys = {key.access_key: key for key in made(history).all_keys()}
    assert {name: key.vault_version for name, key in keys.items()} == written
    assert written["AK1"] == 3
    first = next(e.at for e in history if e.event == Event.SECRET_PUBLISHED)
    assert keys["AK1"].published_at == first, "its age counts from the first time"


def test_by_cron_a_key_that_came_back_counts_from_then() -> None:
    small = rolled_back(0)
    daily = Schedule(cron="0 3 * * *")
    known = replace(
        source(entries(small.store, TARGET.name)),
        due=lambda published: next_due(daily, TARGET.name, published, published),
        oldest=None,
    )
    small.passes(minutes=1)
    found = report([known], Period(NOW, small.clock.now()), COUNTED, small.clock.now())
    assert [key.access_key for key in found.all_keys() if key.state == "current"] == ["AK1"]
    assert [each.kind for each in found.all_exceptions() if each.kind == "late"] == []


def test_the_period_ends_before_what_came_later(world: Small) -> None:
    known = entries(world.store, TARGET.name)
    found = made(known, until=31 * DAY)
    assert len(list(found.all_rotations())) == 2
    assert [key.state for key in found.all_keys()] == ["retiring", "current"]
    later = made(known, since=40 * DAY, until=50 * DAY)
    assert list(later.all_rotations()) == []
    assert [key.state for key in later.all_keys()] == ["current"], "the first one was dead before"
    assert later.targets[0].in_policy is True


def test_a_key_that_is_overdue_for_rotation_at_the_end_is_told(world: Small) -> None:
    known = entries(world.store, TARGET.name)
    only_first = tuple(entry for entry in known if entry.at and entry.at < NOW + DAY)
    found = made(only_first, until=60 * DAY)
    assert [(each.kind, "not replaced yet" in each.reason) for each in found.all_exceptions()] == [("late", True)]


def test_entries_out_of_the_ordinary_are_exceptions_with_their_reason(world: Small) -> None:
    known = entries(world.store, TARGET.name)
    odd = [
        Entry(number=0, at=None, event="?"),
        Entry(number=900, at=NOW + DAY, event="target.paused", facts={"reason": "Black Friday"}),
        Entry(number=901, at=NOW + DAY, event=Event.CONFLICT_FOUND, facts={"error": "somebody wrote"}),
    ]
    kinds = {each.kind: each.reason for each in made((*known, *odd)).all_exceptions()}
    assert kinds["target.paused"] == "Black Friday"
    assert kinds["conflict.found"] == "somebody wrote"
    assert "unreadable" in kinds


class Reader(HTMLParser):
    """What a browser would see: tags, and whether anything could be loaded or run."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.names: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.names |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(known: tuple[Entry, ...]) -> tuple[Entry, ...]:
    return tuple(
        replace(entry, access_key=entry.access_key and HOSTILE, facts={**entry.facts, "reason": HOSTILE})
        for entry in known
    )


def test_nothing_from_outside_is_taken_for_html(world: Small) -> None:
    known = hostile(entries(world.store, TARGET.name))
    evil = replace(source(known), name=HOSTILE, path=HOSTILE, schedule=HOSTILE, chain=HOSTILE)
    text = "\n".join(page(report([evil], Period(NOW, NOW + 999 * DAY), COUNTED, NOW + 999 * DAY)))
    seen = Reader()
    seen.feed(text)
    assert "script" not in seen.tags
    assert not {"src", "href", "srcset"} & seen.names
    assert not [name for name in seen.names if name.startswith("on")]
    assert "<script>alert(1)</script>" in seen.text, "it is shown as it is"
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b]", text), "nothing turns the direction of writing"
    assert not re.search(r"https?://|url\(|@import", text), "the page needs nothing from elsewhere"


def test_a_cell_of_the_csv_is_no_formula(world: Small) -> None:
    known = tuple(
        replace(entry, facts={**entry.facts, "reason": "=HYPERLINK(1)"}) for entry in entries(world.store, TARGET.name)
    )
    rows = list(csv.DictReader(io.StringIO("\n".join(as_csv(made(known))))))
    assert {row["reason"] for row in rows if row["row"] == "rotation"} == {"'=HYPERLINK(1)"}
    assert {row["row"] for row in rows} == {"target", "rotation", "key", "exception", "completeness"}


def test_all_forms_have_the_same_rows(world: Small) -> None:
    found = made(entries(world.store, TARGET.name))
    document = json.loads(json.dumps(as_document(found)))
    rows = list(csv.DictReader(io.StringIO("\n".join(as_csv(found)))))
    for name in ("rotations", "keys", "exceptions"):
        assert len(document[name]) == sum(row["row"] == name.removesuffix("s") for row in rows)
    text = "\n".join(page(found))
    for key in document["keys"]:
        assert key["access_key"] in text
    (heads,) = {heads for heads in re.findall(r"<thead>.*?</thead>", text, re.DOTALL) if "POST requestId" in heads}
    names = re.findall(r"<th[^>]*>([^<]+)</th>", heads)
    (row, *_) = re.findall(r"<tr>((?:(?!</tr>).)*request-of-AK1.*?)</tr>", text, re.DOTALL)
    assert len(re.findall(r"<td", row)) == len(names)
    assert names[3:7] == ["due", "created", "verified", "published"]


def test_ten_thousand_keys_are_one_page() -> None:
    many = []
    for number in range(10_000):
        at = NOW + number * timedelta(hours=1)
        key = f"KEY{number}"
        facts: dict[str, object] = {"vault_version": number + 1, "previous_access_key": f"KEY{number - 1}"}
        many += [
            Entry(number=4 * number, at=at, event="rotation.started", rotation_id=f"r{number}"),
            Entry(number=4 * number + 1, at=at, event="key.created", rotation_id=f"r{number}", access_key=key),
            Entry(number=4 * number + 2, at=at, event="secret.published", rotation_id=f"r{number}", access_key=key),
            Entry(
                number=4 * number + 3,
                at=at,
                event="rotation.succeeded",
                rotation_id=f"r{number}",
                access_key=key,
                facts=facts if number else {},
            ),
        ]
        if number:
            many.append(Entry(number=0, at=at + timedelta(minutes=9), event="key.dead", access_key=f"KEY{number - 1}"))
    found = made(tuple(many))
    text = "\n".join(page(found))
    assert text.count("<rect ") > 10_000
    assert len(text) < 20_000_000
