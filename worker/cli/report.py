"""``rotator report``: evidence for auditors, from the histories in Vault. Changes nothing.

Whether HostUp's count is explained is asked at the end; where HostUp is away the report says so.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from worker.cli.options import Options
from worker.cli.output import print_document, print_json, progress
from worker.cli.report_tables import as_csv, as_document
from worker.clock import moment
from worker.errors import RecordError, RotatorError, UsageError, VaultError
from worker.rotation.audit import audit
from worker.rotation.changes.renaming import since_given_up
from worker.rotation.evidence.report import Completeness, Period, TargetHistory, report
from worker.rotation.records import RecordStore
from worker.rotation.services import Services
from worker.rotation.survey import read_all
from worker.rotation.whole import whole_history
from worker.service.audit_task import slack
from worker.settings.environment import Need
from worker.targets.account import at_account
from worker.targets.durations import format_duration
from worker.targets.schedule import next_rotation
from worker.targets.target import Target

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
    services, targets, late = runtime.services, runtime.settings.targets, slack(runtime)
    made = report(histories(services.store, targets, late), period, completeness(services, targets, late), now)
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


def histories(store: RecordStore, targets: Mapping[str, Target], late: timedelta) -> list[TargetHistory]:
    """What there is of every target, also of those that are configured no longer. Raises VaultError.

    Each entry once: what a target did under a name that it had before is told under the one that it has.
    """
    names = sorted({*targets, *store.targets()})
    read = partial(_history, store, targets, late)
    found = [history for _, history in read_all(names, read, progress("reading histories"))]
    return [each for each in found if each.name in targets or each.entries or each.problem or not each.chain_holds]


def _history(store: RecordStore, targets: Mapping[str, Target], late: timedelta, name: str) -> TargetHistory:
    known = _by_schedule(TargetHistory(name=name, entries=()), targets.get(name), late)
    try:
        whole = whole_history(store, name)
    except RecordError as error:
        return replace(known, chain_holds=False, problem=error.what)
    own = tuple(since_given_up(name, whole.entries()))
    known = replace(known, entries=own, chain=whole.chain.words, chain_holds=whole.chain.holds)
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


def completeness(services: Services, targets: Mapping[str, Target], late: timedelta) -> Completeness:
    """Whether every key that HostUp counts is explained now. Raises VaultError."""
    try:
        found = audit(services, targets, late)
    except VaultError:
        raise
    except RotatorError as error:
        return Completeness(services.clock.now(), None, None, None, None, error.what)
    unknown = [at_account(each.account) for each in found.accounts if each.key_count is None]
    problem = f"HostUp does not say how many keys there are{unknown[0]}" if unknown else ""
    return Completeness(found.at, found.key_count, found.on_record, found.foreign, found.drift, problem)
