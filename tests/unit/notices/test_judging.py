"""Which log lines become notices, to whom they go, and when a channel is given up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.records import NOW
from worker.notices.judging import LONGEST_TEXT, OVER, READ, TOLD, Word, words
from worker.notices.notice import NAMED, TROUBLE, Kind, Notice
from worker.notices.routes import GIVE_UP_AFTER, Route, next_try

OWNERS = {"media": "team-media"}


def said(event: str, **fields: object) -> list[Word]:
    return list(words({"event": event, "timestamp": NOW.isoformat(), "target": "media", **fields}, OWNERS))


@pytest.mark.parametrize(
    ("event", "fields", "kind"),
    [
        ("rotation.failed", {}, Kind.FAILED),
        ("create.unconfirmed", {"rotation_id": "r"}, Kind.UNCONFIRMED),
        ("key.overdue", {}, Kind.OVERDUE),
        ("audit.found", {"kind": "overdue"}, Kind.OVERDUE),
        ("audit.found", {"kind": "rescued"}, Kind.WAITS),
        ("conflict.found", {}, Kind.CONFLICT),
        ("key.died", {}, Kind.DIED),
        ("drift.found", {"target": None}, Kind.DRIFT),
        ("target.blocked", {}, Kind.WAITS),
        ("record.unreadable", {}, Kind.WAITS),
        ("vault.set_back", {}, Kind.WAITS),
        ("endpoint.refused", {"target": None}, Kind.WAITS),
        ("account.suspended", {"target": None}, Kind.WAITS),
        ("baseline.lost", {"target": None}, Kind.WAITS),
        ("secret.lost", {}, Kind.DIED),
        ("secret.published", {"rotation_id": "r"}, Kind.PUBLISHED),
    ],
)
def test_each_event_that_matters_is_told_as_one_kind(event: str, fields: dict[str, object], kind: Kind) -> None:
    (word,) = said(event, **fields)
    assert (word.notice.event, word.notice.log, word.over) == (kind, event, ())
    assert word.notice.title
    assert event in READ


@pytest.mark.parametrize("event", ["key.created", "audit.done", "notice.failed", "audit.found", "target.failed"])
def test_all_else_is_not_told(event: str) -> None:
    assert said(event, drift=1, kind="failing") == []


def test_a_notice_says_whose_target_it_is_and_by_which_ids_it_is_found() -> None:
    (word,) = said("secret.published", access_key="AK", request_id="q", rotation_id="r", vault_version=7)
    document = word.notice.document()
    assert document == {
        "id": word.notice.id,
        "event": "published",
        "title": "media has a new key",
        "at": NOW.isoformat(),
        "log": "secret.published",
        "target": "media",
        "owner": "team-media",
        "access_key": "AK",
        "request_id": "q",
        "rotation_id": "r",
        "vault_version": 7,
    }


def test_repeated_trouble_has_one_mark_and_each_rotation_one_of_its_own() -> None:
    assert said("rotation.failed", error="a")[0].mark == said("rotation.failed", error="b")[0].mark
    assert said("rotation.failed")[0].mark != said("rotation.failed", target="other")[0].mark
    first, second = said("secret.published", rotation_id="1"), said("secret.published", rotation_id="2")
    assert first[0].mark != second[0].mark


@pytest.mark.parametrize(
    ("good", "fields", "bad"),
    [
        ("rotation.succeeded", {}, ["rotation.failed", "conflict.found", "key.died", "target.blocked"]),
        ("target.recovered", {}, ["conflict.found", "key.died", "secret.lost"]),
        ("secret.restored", {}, ["secret.lost"]),
        ("account.unsuspended", {"target": None}, ["account.suspended"]),
        ("api_key.rolled", {"target": None}, ["api_key.lost", "api_key.stray"]),
        ("api_key.settled", {"target": None}, ["api_key.lost", "api_key.stray"]),
        ("audit.done", {"endpoints": ["default"], "target": None}, ["endpoint.refused"]),
        ("audit.done", {"counted": ["default"], "target": None}, ["baseline.lost"]),
        ("key.dead", {}, ["key.overdue"]),
        ("deletes.resumed", {}, ["vault.set_back"]),
        ("audit.done", {"drift": 0, "target": None}, ["drift.found"]),
    ],
)
def test_what_is_over_names_the_marks_of_what_was_told(good: str, fields: dict[str, object], bad: list[str]) -> None:
    (word,) = said(good, **fields)
    assert word.notice.event is Kind.RECOVERED
    assert {said(event, **fields)[0].mark for event in bad} <= set(word.over)


def test_an_audit_ends_what_it_finds_dealt_with_of_each_target_and_of_nothing_else() -> None:
    rescued = {name: said("audit.found", kind="rescued", target=name)[0].mark for name in ("media", "web", "other")}
    over = said("audit.done", target=None, dealt_with=["media", "web"])
    assert [(word.notice.event, word.notice.target, word.over) for word in over] == [
        (Kind.RECOVERED, "media", (rescued["media"],)),
        (Kind.RECOVERED, "web", (rescued["web"],)),
    ]
    assert over[0].notice.owner == "team-media"


@pytest.mark.parametrize(("event", "field"), [("endpoint.refused", "endpoints"), ("baseline.lost", "counted")])
def test_an_audit_ends_an_accounts_trouble_for_that_account(event: str, field: str) -> None:
    marks = {account: said(event, target=None, account=account)[0].mark for account in ("", "media", "web")}
    (word,) = said("audit.done", target=None, **{field: ["default", "web"]})
    assert set(marks.values()) & set(word.over) == {marks[""], marks["web"]}


ONCE = {"create.unconfirmed", "secret.published"}
"""Told once for each rotation."""


def test_whatever_is_told_can_be_over() -> None:
    audits = said("audit.done", target=None, drift=0, endpoints=["default"], counted=["default"])
    ends = {mark for event in OVER for word in said(event) for mark in word.over}
    ends |= {mark for event in OVER for word in said(event, target=None) for mark in word.over}
    ends |= {mark for word in audits for mark in word.over}
    lasting = {event for event in TOLD if not {said(event)[0].mark, said(event, target=None)[0].mark} & ends}
    assert lasting == ONCE


def test_an_api_key_is_told_of_its_account() -> None:
    lost = {
        account: said("api_key.lost", target=None, account=account, error="lost")[0] for account in ("default", "media")
    }
    assert lost["default"].mark != lost["media"].mark
    assert (lost["default"].notice.what, lost["media"].notice.what) == ("lost", "lost (account media)")
    (over,) = said("api_key.settled", target=None, account="media")
    assert lost["media"].mark in over.over
    assert lost["default"].mark not in over.over


def test_texts_from_outside_are_cut_and_escaped() -> None:
    (word,) = said("rotation.failed", error="\x1b[2J" + "x" * 10_000, target="a\nb", hint=["no", "text"])
    assert len(word.notice.what) == LONGEST_TEXT
    assert word.notice.what.startswith("\\x1b[2J")
    assert word.notice.target == "a\\nb"
    assert word.notice.hint == "See `rotator status a\\nb`."


def notice(event: Kind = Kind.FAILED, target: str | None = "media", owner: str | None = "team-media") -> Notice:
    return Notice(id="0" * 32, event=event, at=NOW.isoformat(), log="x", target=target, owner=owner)


@pytest.mark.parametrize(
    ("route", "takes"),
    [
        (Route(frozenset({"failed"})), True),
        (Route(frozenset({"died"})), False),
        (Route(frozenset({"failed"}), targets=frozenset({"media"})), True),
        (Route(frozenset({"failed"}), targets=frozenset({"other"})), False),
        (Route(frozenset({"failed"}), owners=frozenset({"team-media"})), True),
        (Route(frozenset({"failed"}), frozenset({"other"}), frozenset({"team-media"})), True),
    ],
)
def test_a_channel_takes_its_events_of_its_targets(route: Route, *, takes: bool) -> None:
    assert route.takes(notice()) is takes
    assert route.takes(notice(Kind.TEST))


def test_what_is_of_no_target_goes_to_channels_for_all() -> None:
    drift = notice(Kind.DRIFT, None, None)
    assert Route(frozenset(TROUBLE)).takes(drift)
    assert not Route(frozenset(TROUBLE), owners=frozenset({"team-media"})).takes(drift)


def test_a_channel_is_tried_for_a_day_less_and_less_often() -> None:
    at, tries, waits = NOW, 0, []
    while later := next_try(tries := tries + 1, NOW, at, "id"):
        waits.append(later - at)
        at = later
    assert timedelta(seconds=5) <= waits[0] < timedelta(seconds=7)
    assert max(waits) <= timedelta(hours=1, minutes=15)
    assert at - NOW > GIVE_UP_AFTER - timedelta(hours=2)


def test_a_test_is_nothing_to_name_and_published_is_for_those_who_name_it() -> None:
    assert Kind.TEST not in NAMED
    assert Kind.PUBLISHED not in TROUBLE
