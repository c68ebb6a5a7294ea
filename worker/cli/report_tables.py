"""The report as rows: the same for JSON, for CSV and for the page. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from worker.printable import printable
from worker.rotation.evidence.keys import KeyLife
from worker.rotation.evidence.report import Completeness, Incident, Report, TargetReport
from worker.rotation.evidence.rotations import RotationFacts

FORM = 1
"""The version of the report's form; another number means other names."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

Row = dict[str, Any]


def as_document(made: Report) -> Row:
    """The whole report in JSON's own types."""
    return {
        "form": FORM,
        "made_at": stamp(made.made_at),
        "from": stamp(made.period.since),
        "to": stamp(made.period.until),
        "totals": totals(made),
        "completeness": completeness_row(made.completeness),
        "targets": [target_row(each) for each in made.targets],
        "rotations": [rotation_row(each) for each in made.all_rotations()],
        "keys": [key_row(each) for each in made.all_keys()],
        "exceptions": [exception_row(each) for each in made.all_exceptions()],
    }


def as_csv(made: Report) -> Iterator[str]:
    """Lines of one table: the column ``row`` says what a line is about, and columns that it has nothing for are empty.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    rows = [
        *({"row": "target", **target_row(each)} for each in made.targets),
        *({"row": "rotation", **rotation_row(each)} for each in made.all_rotations()),
        *({"row": "key", **key_row(each)} for each in made.all_keys()),
        *({"row": "exception", **exception_row(each)} for each in made.all_exceptions()),
        {"row": "completeness", **completeness_row(made.completeness)},
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return iter(text.getvalue().rstrip("\n").split("\n"))


def totals(made: Report) -> Row:
    """What an auditor looks at first."""
    rotations, keys = list(made.all_rotations()), list(made.all_keys())
    alive = [key.alive_after for key in keys if key.alive_after is not None]
    ages = [target.greatest_age for target in made.targets if target.greatest_age is not None]
    return {
        "targets": len(made.targets),
        "rotations": len(rotations),
        "succeeded": sum(each.outcome == "succeeded" for each in rotations),
        "keys": len(keys),
        "dead": sum(key.state == "dead" for key in keys),
        "exceptions": sum(1 for _ in made.all_exceptions()),
        "targets_outside_policy": sum(target.in_policy is False for target in made.targets),
        "broken_histories": sum(not target.source.chain_holds for target in made.targets),
        "greatest_age_s": seconds(max(ages, default=None)),
        "longest_alive_after_delete_s": seconds(max(alive, default=None)),
    }


def completeness_row(found: Completeness) -> Row:
    """Whether HostUp's count is explained."""
    return {
        "at": stamp(found.at),
        "key_count": found.key_count,
        "on_record": found.on_record,
        "foreign": found.foreign,
        "unexplained": found.unexplained,
        "problem": found.problem,
    }


def target_row(each: TargetReport) -> Row:
    """One target as a whole."""
    source = each.source
    return {
        "target": source.name,
        "path": source.path,
        "schedule": source.schedule,
        "greatest_age_s": seconds(each.greatest_age),
        "allowed_age_s": seconds(source.oldest),
        "in_policy": each.in_policy,
        "history_entries": len(source.entries),
        "history_chain": source.chain,
        "history_holds": source.chain_holds,
        "problem": source.problem,
    }


def rotation_row(each: RotationFacts) -> Row:
    """One rotation."""
    return {
        "target": each.target,
        "rotation_id": each.rotation_id,
        "outcome": each.outcome,
        "trigger": each.trigger,
        "reason": each.reason,
        "by": each.by,
        "requested_at": stamp(each.requested_at),
        "due_at": stamp(each.due_at),
        "started_at": stamp(each.started_at),
        "created_at": stamp(each.created_at),
        "verified_at": stamp(each.verified_at),
        "published_at": stamp(each.published_at),
        "late_by_s": seconds(each.late_by),
        "create_request_id": each.create_request_id,
        "vault_version": each.vault_version,
        "access_key": each.access_key,
        "previous_access_key": each.previous_access_key,
    }


def key_row(each: KeyLife) -> Row:
    """One key."""
    return {
        "target": each.target,
        "access_key": each.access_key,
        "state": each.state,
        "rotation_id": each.rotation_id,
        "adopted": each.adopted,
        "born_at": stamp(each.born_at),
        "create_request_id": each.create_request_id,
        "published_at": stamp(each.published_at),
        "vault_version": each.vault_version,
        "replaced_at": stamp(each.replaced_at),
        "replaced_by": each.replaced_by,
        "why": each.why,
        "grace_end": stamp(each.grace_end),
        "deleted_at": stamp(each.deleted_at),
        "delete_request_id": each.delete_request_id,
        "dead_at": stamp(each.dead_at),
        "refused_by": each.refused_by,
        "proof": each.proof,
        "storage_request_id": each.storage_request_id,
        "alive_after_delete_s": seconds(each.alive_after),
        "left_at": stamp(each.left_at),
    }


def exception_row(each: Incident) -> Row:
    """One exception."""
    return {
        "target": each.target,
        "at": stamp(each.at),
        "kind": each.kind,
        "reason": each.reason,
        "access_key": each.access_key,
        "rotation_id": each.rotation_id,
        "request_id": each.request_id,
    }


def stamp(at: datetime | None) -> str | None:
    """A moment in UTC, to the millisecond."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds") if at else None


def seconds(length: timedelta | None) -> float | None:
    """A length of time in seconds."""
    return None if length is None else round(length.total_seconds(), 3)


def _cell(value: object) -> str:
    if value is None or isinstance(value, bool | int | float | Mapping):
        return "" if value is None else str(value)
    text = printable(str(value))
    return f"'{text}" if text.startswith(_FORMULA) else text
