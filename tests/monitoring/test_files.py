"""Alerts and board name only what is exported, and each alert leads to a page that says what to do."""

from __future__ import annotations

from tests.docs.pages import codes, page
from tests.monitoring.files import alerts, exported, named, panels, queries

ASKED_FOR = (
    "Absent Stalled TargetOverdue KeyTooOld TargetFailing NeedsPerson AccountNeedsPerson ApiKeyWaits KeyOverdue "
    "CurrentKeyDead UnconfirmedCreate Drift CircuitOpen RateLimited VaultTokenSoon AuditStale NoticesFailing"
)
PARTS = ("means", "harm", "look", "do", "not yours to fix")


def test_there_is_each_alert_once() -> None:
    assert [alert.name for alert in alerts()] == [f"Rotator{name}" for name in ASKED_FOR.split()]


def test_an_alert_names_only_what_is_exported_and_says_what_it_is_about() -> None:
    for alert in alerts():
        assert named(alert.expression), alert.name
        assert named(alert.expression) <= exported(), alert.name
        assert set(alert.annotations) == {"summary", "description", "runbook_url"}, alert.name
        assert all(alert.annotations.values()), alert.name


def test_each_alert_has_its_place_in_the_runbook_and_nothing_else_has() -> None:
    runbook = page("runbook.md")
    for alert in alerts():
        file, _, anchor = alert.annotations["runbook_url"].partition("#")
        assert file == "docs/runbook.md"
        assert anchor == alert.name.lower()
        assert anchor in runbook.anchors
        text = runbook.section(alert.name).lower()
        assert [part for part in PARTS if f"**{part}**" not in text] == [], alert.name
    assert [heading for heading in runbook.headings if heading.startswith("Rotator")] == [
        alert.name for alert in alerts()
    ]


def test_the_board_names_only_what_is_exported() -> None:
    found = list(queries())
    assert len(found) > 12
    for title, query in found:
        assert named(query), title
        assert named(query) <= exported(), title


def test_each_panel_says_what_it_shows_and_the_troubled_come_first() -> None:
    assert panels()[0]["title"] == "Targets in trouble"
    assert [panel["title"] for panel in panels() if not panel.get("description")] == []


def test_every_series_is_described_and_nothing_else_is() -> None:
    described = [name for row in page("monitoring.md").table("series") for name in codes(row[0])]
    assert sorted(described) == sorted(name.removeprefix("rotator_") for name in exported())
