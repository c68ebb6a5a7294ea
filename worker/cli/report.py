"""``rotator report``: evidence for auditors, from the histories in Vault. Changes nothing.

Whether HostUp's count is explained is asked at the end; where HostUp is away the report says so.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from worker.cli.options import Options
from worker.cli.output import print_document, print_json, progress
from worker.cli.report_tables import as_csv, as_document
from worker.clock import moment
from worker.errors import RecordError, RotatorError, UsageError, VaultError
from worker.rotation.audit import audit
from worker.rotation.evidence.report import Completeness, Period, TargetHistory, report
from worker.rotation.survey import read_all
from worker.rotation.whole import whole_history
from worker.service.audit_task import slack
from worker.settings.environment import Need
from worker.targets.account import at_account
from worker.targets.durations import format_duration
from worker.targets.schedule import next_rotation
from worker.targets.target import Target

if TYPE_CHECKING:
    from worker.service.assemble import Runtime

FORMATS = ("html", "csv", "json")
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Of a report without --from: all there is."""


def make_report(options: Options, since: str | None, until: str | None, form: str) -> int:
    """Print the report in one of the forms. Raises UsageError for a period or form that is none."""
    if options.as_json:
        form = "json"
    if form not in FORMATS:
        raise UsageError(f"there is no format {form[:32]!r}", hint=f"There are: {', '.join(FORMATS)}.")
    if form == "html" and sys.stdout.isatty():
        raise UsageError("that is a page for a browser", hint="Write it to a file: `rotator report > report.html`.")
    runtime = options.runtime(Need.HOSTUP | Need.VAULT)
    now = runtime.clock.now()
    period = Period(read_day(since, "--from") or BEGINNING, read_day(until, "--to") or now)
    if period.since >= period.until:
        raise UsageError("the period is empty", hint="--from must be a day before --to.")
    made = report(histories(runtime), period, completeness(runtime), now)
    if form == "json":
        print_json(as_document(made))
    elif form == "csv":
        print_document(as_csv(made))
    else:
        from worker.cli.report_page import page

        print_document(page(made))
    return 0


def read_day(text: str | None, option: str) -> datetime | None:
    """A day (its beginning in UTC), or a moment with an offset from UTC. Raises UsageError."""
    if text is None:
        return None
    found = moment(text if "T" in text else f"{text}T00:00:00+00:00")
    if found is None:
        raise UsageError(
            f"{option} is no day and no moment: {text[:32]!r}", hint='Such as "2026-01-01" or "2026-01-01T08:00:00Z".'
        )
    return found.astimezone(UTC)


def histories(runtime: Runtime) -> list[TargetHistory]:
    """What there is of every target, also of those that are configured no longer. Raises VaultError."""
    names = sorted({*runtime.settings.targets, *runtime.services.store.targets()})
    read = partial(_history, runtime)
    return [found for _, found in read_all(names, read, progress("reading histories"))]


def _history(runtime: Runtime, name: str) -> TargetHistory:
    store, target = runtime.services.store, runtime.settings.targets.get(name)
    known = _by_schedule(TargetHistory(name=name, entries=()), target, slack(runtime))
    try:
        whole = whole_history(store, name)
    except RecordError as error:
        return replace(known, chain_holds=False, problem=error.what)
    known = replace(known, entries=whole.entries(), chain=whole.chain.words, chain_holds=whole.chain.holds)
    try:
        record = store.load(name, "").record
    except RecordError as error:
        return replace(known, problem=error.what)
    ends = {key.access_key: key.retire_after for key in record.retiring}
    return replace(known, path=record.path or known.path, grace_ends=ends)


def _by_schedule(known: TargetHistory, target: Target | None, late: timedelta) -> TargetHistory:
    if target is None:
        return replace(known, schedule="not configured any more")
    schedule = target.schedule
    if schedule.every is None:
        words = f"cron {schedule.cron}"
    elif schedule.is_manual:
        return replace(known, path=target.path, schedule="only when asked for", slack=late)
    else:
        words = f"every {format_duration(schedule.every)}"
    return replace(
        known,
        path=target.path,
        schedule=words,
        due=lambda published: next_rotation(schedule, target.name, published, published, target.freezes) or published,
        oldest=schedule.every,
        slack=late,
    )


def completeness(runtime: Runtime) -> Completeness:
    """Whether every key that HostUp counts is explained now. Raises VaultError."""
    try:
        found = audit(runtime.services, runtime.settings.targets, slack(runtime))
    except VaultError:
        raise
    except RotatorError as error:
        return Completeness(runtime.clock.now(), None, None, None, None, error.what)
    unknown = [at_account(each.account) for each in found.accounts if each.key_count is None]
    problem = f"HostUp does not say how many keys there are{unknown[0]}" if unknown else ""
    return Completeness(found.at, found.key_count, found.on_record, found.foreign, found.drift, problem)
