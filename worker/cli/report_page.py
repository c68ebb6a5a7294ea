"""The report as one HTML page that needs nothing from elsewhere, no script either. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from worker.cli.report_html import Html, document, joined, table, tag, text
from worker.cli.report_tables import stamp, totals
from worker.cli.report_timeline import timeline
from worker.cli.texts import span
from worker.rotation.evidence.keys import KeyLife
from worker.rotation.evidence.report import Completeness, Incident, Period, Report, TargetReport
from worker.rotation.evidence.rotations import RotationFacts
from worker.targets.durations import format_duration

ROTATION = (
    "started",
    "why",
    "asked by",
    "due",
    "created",
    "verified",
    "published",
    "Vault version",
    "access key",
    "POST requestId",
)
KEY = (
    "access key",
    "state",
    "born",
    "current from",
    "replaced",
    "grace ended",
    "deleted",
    "DELETE requestId",
    "refused",
)
EXCEPTION = ("when", "target", "what", "access key", "requestId", "reason")
TARGET = ("target", "schedule", "oldest key", "allowed", "rotations", "keys", "exceptions", "history")
LEGEND = (("waiting", "not published"), ("current", "current"), ("grace", "previous, in grace"), ("dying", "deleted"))


def page(made: Report) -> Iterator[str]:
    """The lines of the page."""
    shown = _shown(made)
    title = "Rotation of object-storage keys"
    body = joined(
        (
            tag("h1", text(title)),
            tag("p", text(_heading(made)), class_="faint"),
            _numbers(made),
            _completeness(made.completeness),
            tag("section", tag("h2", text("Targets")), table(TARGET, map(_target_row, made.targets))),
            _exceptions(made),
            *(_of_target(each, shown) for each in made.targets),
        )
    )
    return iter(document(title, body).split("\n"))


def _heading(made: Report) -> str:
    since, until = _at(made.period.since), _at(made.period.until)
    begins = "from the beginning" if made.period.since.year <= 1970 else f"from {since}"  # noqa: PLR2004 - no period
    return f"{begins} to {until}, made at {_at(made.made_at)}; all times are UTC"


def _shown(made: Report) -> Period:
    """What timelines show: the period, without the time before the first key."""
    first = min(filter(None, (key.first_seen for key in made.all_keys())), default=made.period.since)
    return Period(max(first, made.period.since), made.period.until)


def _numbers(made: Report) -> Html:
    found = totals(made)
    age, alive = found["greatest_age_s"], found["longest_alive_after_delete_s"]
    shown = (
        (found["targets"], "targets"),
        (f"{found['succeeded']} of {found['rotations']}", "rotations that succeeded"),
        (f"{found['dead']} of {found['keys']}", "keys proven dead"),
        ("-" if age is None else span(timedelta(seconds=age)), "oldest current key"),
        (found["targets_outside_policy"], "targets with a key older than allowed"),
        ("-" if alive is None else span(timedelta(seconds=alive)), "longest from delete to proof"),
        (found["exceptions"], "exceptions"),
        (found["broken_histories"], "histories with a broken chain"),
    )
    return tag(
        "div", *(tag("div", tag("b", text(value)), tag("span", text(what))) for value, what in shown), class_="numbers"
    )


def _completeness(found: Completeness) -> Html:
    counted = f"HostUp counts {_known(found.key_count)} keys at {_at(found.at)}"
    known = f"on record are {_known(found.on_record)}, foreign {_known(found.foreign)}"
    if found.unexplained == 0:
        verdict = tag("span", text("every key is explained"), class_="good")
    else:
        verdict = tag("span", text(f"unexplained: {_known(found.unexplained)}"), class_="bad")
    problem = f" ({found.problem})" if found.problem else ""
    return tag("p", text(f"Completeness: {counted}; {known}; "), verdict, text(f"{problem}."))


def _target_row(each: TargetReport) -> tuple[Html, ...]:
    source = each.source
    allowed = "" if source.oldest is None else format_duration(source.oldest)
    age = "" if each.greatest_age is None else format_duration(each.greatest_age)
    return (
        text(source.name),
        text(source.schedule),
        tag("span", text(age), class_="bad" if each.in_policy is False else None),
        text(allowed),
        text(len(each.rotations)),
        text(len(each.keys)),
        text(len(each.exceptions)),
        tag("span", text(source.problem or source.chain), class_=None if source.chain_holds else "bad"),
    )


def _exceptions(made: Report) -> Html:
    found = sorted(made.all_exceptions(), key=lambda each: each.at or made.period.since)
    shown = table(EXCEPTION, map(_exception_row, found)) if found else tag("p", text("None."))
    return tag("section", tag("h2", text("Exceptions")), shown)


def _exception_row(each: Incident) -> tuple[Html, ...]:
    return (
        text(_at(each.at)),
        text(each.target),
        text(each.kind),
        _code(each.access_key),
        _code(each.request_id),
        text(each.reason),
    )


def _of_target(each: TargetReport, shown: Period) -> Html:
    legend = tag(
        "p",
        *(Html(tag("i", class_=kind) + text(what)) for kind, what in LEGEND),
        class_="legend",
    )
    drawn = joined((timeline(each.keys, shown), legend)) if each.keys else tag("p", text("No key in this period."))
    return tag(
        "section",
        tag("h2", text(each.source.name)),
        tag("p", text(f"{each.source.path}; {each.source.schedule}"), class_="faint"),
        drawn,
        tag("h3", text("Rotations")),
        table(ROTATION, map(_rotation_row, each.rotations)),
        tag("h3", text("Keys")),
        table(KEY, map(_key_row, each.keys)),
    )


def _rotation_row(each: RotationFacts) -> tuple[Html, ...]:
    why = ": ".join(part for part in (each.trigger, each.reason) if part)
    late = each.late_by
    due = f"{_at(each.due_at)} (+{span(late)})" if late else _at(each.due_at)
    outcome = _at(each.published_at) or each.outcome
    return (
        text(_at(each.started_at)),
        text(why),
        text(each.by),
        text(due),
        text(_at(each.created_at)),
        text(_at(each.verified_at)),
        tag("span", text(outcome), class_=None if each.outcome == "succeeded" else "bad"),
        text(each.vault_version),
        _code(each.access_key),
        _code(each.create_request_id),
    )


def _key_row(key: KeyLife) -> tuple[Html, ...]:
    refused = f"{_at(key.dead_at)}, {key.refused_by or 'refused'}" if key.dead_at else ""
    after = f", {key.alive_after.total_seconds():.1f} s after the delete" if key.alive_after is not None else ""
    return (
        _code(key.access_key),
        text(key.state),
        text(_at(key.born_at)),
        text(_at(key.published_at)),
        text(_at(key.replaced_at)),
        text(_at(key.grace_end)),
        text(_at(key.deleted_at)),
        _code(key.delete_request_id),
        text(refused + after),
    )


def _code(value: str | None) -> Html:
    return tag("code", text(value)) if value else text("")


def _at(at: datetime | None) -> str:
    return (stamp(at) or "")[:19].replace("T", " ")


def _known(number: int | None) -> str:
    return "an unknown number of" if number is None else str(number)
