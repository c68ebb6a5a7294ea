"""What an audit does in the service: it is logged, settles what it explains, and puts Redis right by what it read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from worker.adapters.redis.index import IDS_OF_A_TARGET, IndexEntry
from worker.clock import moment
from worker.errors import QueueUnavailable
from worker.events import Event
from worker.rotation.audit import AuditReport, audit
from worker.rotation.changes.creates import explained
from worker.rotation.changes.retirement import counted_after_all
from worker.rotation.changes.watch import deletes_resumed
from worker.rotation.claiming import claim_all, living_keys
from worker.rotation.findings import AuditFinding
from worker.rotation.leftover import prove_left_behind, retire_leftovers, stand_in
from worker.rotation.lost import of_lost_keys
from worker.rotation.record import Record
from worker.rotation.status import due_at, outlook, summarize, summary_of, with_reason
from worker.rotation.steps.session import Session
from worker.rotation.survey import Progress
from worker.service.api_key import findings_of_api_keys
from worker.service.assemble import Runtime
from worker.service.tick import Send, hand_out
from worker.targets.account import DEFAULT_ACCOUNT, logged

AUDIT = "audit"
LATE = ("waiting", "overdue")
"""The kinds of findings about what should have happened by now."""

AFTER_TROUBLE = timedelta(minutes=1)
SETTLED_AFTER_LEASES = 4
CLAIMS_EVERY = timedelta(days=1)
MORE_THREADS = (
    "A quarter of the threads watch when nothing is due: raise concurrency, start more workers, or watch less often."
)
EXPLAINED = "the audit explains every key of the account"

_log = structlog.get_logger(__name__)


def _is_mine(runtime: Runtime) -> bool:
    """Whether this worker is to audit now: nobody else did lately by Redis, or it has waited for too long."""
    is_overdue = runtime.audits.is_overdue()
    try:
        return runtime.shared.locks.only_one(AUDIT, runtime.settings.worker.audit_every * 0.9) or is_overdue
    except QueueUnavailable:
        if not is_overdue:
            raise
        return True


class AuditAfterTrouble:
    """An audit is owed from the end of a trouble: what was put on record meanwhile, no worker was woken for.

    It is owed as well when a part of the index is gone, as after an eviction: no tick fills that.

    One worker asks for it, and not more often than once a minute, as it reads every record; who may not ask yet does so
    later, unless an audit came meanwhile.
    """

    def __init__(self, runtime: Runtime, send: Send) -> None:
        self._runtime = runtime
        self._send = send
        self._since: datetime | None = None
        self._parts = 0

    def ended(self) -> None:
        """A trouble is over."""
        self._since = self._runtime.clock.now()

    def ask(self) -> None:
        """Ask for what is owed. Raises QueueUnavailable."""
        parts = self._runtime.shared.index.parts()
        if parts < self._parts:
            self.ended()
        self._parts = parts
        if self._since is None:
            return
        last, locks = self._runtime.shared.notes.last_audit(), self._runtime.shared.locks
        at = moment(last.at) if last else None
        came = at is not None and at > self._since
        if not came and locks.only_one("audit after trouble", AFTER_TROUBLE):
            locks.forget(AUDIT)
            hand_out(self._send, "rotator.audit", [])
            came = True
        if came:
            self._since = None


def audit_once(runtime: Runtime) -> None:
    """The audit. One worker does it, however many are asked. Raises VaultError, QueueUnavailable.

    Redis says which one; but it is not believed for ever, nor is it waited for.
    """
    if not _is_mine(runtime):
        return
    runtime.audits.note()
    report = whole_audit(runtime, observing=False)  # the watch does
    for finding in report.findings:
        event = Event.DRIFT_FOUND if finding.kind == "drift" else Event.AUDIT_FOUND
        at = logged(finding.account or DEFAULT_ACCOUNT)
        _log.warning(event, kind=finding.kind, target=finding.target, what=finding.what, hint=finding.hint, **at)
    _see_to_claims(runtime, report)
    if report.explained:
        _settle_explained(runtime, report)
    retire_leftovers(runtime.services, report.survey, runtime.settings.targets)
    if len(runtime.settings.accounts) > 1:
        prove_left_behind(runtime.services, report.survey, runtime.settings.targets)
    _put_redis_right(runtime, report.survey.records)
    _say_if_the_watch_is_behind(runtime)
    for each in report.accounts:
        counted = each.key_count if each.drift is not None else None
        found = Counter(finding.kind for finding in report.findings if finding.is_of_account(each.account))
        runtime.shared.notes.audited(report.at, counted, each.on_record, each.still_foreign, each.account, found)
    _log.info(
        Event.AUDIT_DONE,
        findings=len(report.findings),
        targets=report.targets,
        key_count=report.key_count,
        on_record=report.on_record,
        foreign=report.foreign,
        drift=report.drift,
        counted=sorted(report.counted),
        endpoints=sorted(report.endpoints),
        **({"explained": sorted(report.explained)} if len(report.accounts) > 1 else {}),
        **({"dealt_with": sorted(report.dealt_with)} if report.dealt_with else {}),
    )


def whole_audit(runtime: Runtime, progress: Progress | None = None, *, observing: bool = True) -> AuditReport:
    """The audit of targets and account, and of the worker's own API keys. Raises VaultError."""
    targets = runtime.settings.targets
    report = audit(runtime.services, targets, slack(runtime), progress, observing=observing)
    lost = _lost(runtime, report, progress, everywhere=observing)
    findings = tuple(_with_reason(runtime, report, finding) for finding in report.findings)
    return replace(report, findings=(*findings, *lost, *findings_of_api_keys(runtime)))


def _lost(
    runtime: Runtime, report: AuditReport, progress: Progress | None, *, everywhere: bool
) -> Iterator[AuditFinding]:
    """Living keys that are on no record, by what Redis and the keys' own documents remember.

    Of targets whose record was set back; and ``everywhere``, for a person who asks, where HostUp counts keys that
    nothing explains: a document is read for each key ever made.
    """
    services, seen, targets = runtime.services, report.survey, runtime.settings.targets
    everywhere = everywhere and any(count.drift and count.drift > 0 for count in report.accounts)
    names = [name for name, record in seen.records.items() if name in targets and (everywhere or record.deletes_held)]
    on_record = {key for record in seen.records.values() for key in record.keys_on_record()}
    documents = living_keys(services, on_record, progress) if everywhere else {}
    try:
        ids = runtime.shared.index.ids_of(names)
    except QueueUnavailable:
        ids = {}
    return of_lost_keys(services, seen, targets, ids, documents)


def _with_reason(runtime: Runtime, report: AuditReport, finding: AuditFinding) -> AuditFinding:
    """A target that is late, with what the last look found it to wait for: some of that is on no record."""
    name = finding.target or ""
    target, record = runtime.settings.targets.get(name), report.survey.records.get(name)
    if finding.kind not in LATE or target is None or record is None or record.failure:
        return finding
    try:
        remembered = runtime.shared.index.summary(name)
    except QueueUnavailable:
        return finding
    before = summary_of(record, target, report.at)
    after = with_reason(before, remembered, report.at)
    if after is before:
        return finding
    return replace(finding, hint=f"It waits for {after['waits_for']}, until {after['waits_until']}.")


def slack(runtime: Runtime) -> timedelta:
    """How late something may be before the audit reports it: a few ticks, and a lease that has to run out."""
    worker = runtime.settings.worker
    return worker.tick * 4 + worker.lease * 2


def _say_if_the_watch_is_behind(runtime: Runtime) -> None:
    behind = watch_behind(runtime)
    if behind:
        _log.warning(
            Event.WATCH_BEHIND,
            targets=behind,
            error="they are not watched as often as watch_every says",
            hint=MORE_THREADS,
        )


def watch_behind(runtime: Runtime) -> int:
    """How many targets were to be watched so long ago that another watch is due by now. Raises QueueUnavailable."""
    now, targets = runtime.clock.now() - slack(runtime), runtime.settings.targets
    every = {name: runtime.watch_every(target) for name, target in targets.items()}
    if not every:
        return 0
    late = runtime.shared.watches.behind(now - min(every.values()))
    return sum(1 for name, due in late.items() if name in every and due <= (now - every[name]).timestamp())


def _see_to_claims(runtime: Runtime, report: AuditReport) -> None:
    """Each key on record has its document, looked at once a day: a document for each is read for that."""
    since = runtime.services.store.claims.complete_since()
    shared = any(finding.kind == "shared" for finding in report.findings)
    if shared or since is None or report.at - since >= CLAIMS_EVERY:
        claim_all(runtime.services, report.survey)


def _settle_explained(runtime: Runtime, report: AuditReport) -> None:
    """Settle unconfirmed creates, and let deletes go on: no key of the accounts is left that is on no record.

    Only those that are old enough: a call that timed out may be carried out later. What lies on an account of which
    something is not explained stays as it is, and so do the deletes of a record that has keys there.
    """
    before = report.at - runtime.settings.worker.lease * SETTLED_AFTER_LEASES
    for name, record in report.survey.records.items():
        target = runtime.settings.targets.get(name) or stand_in(record)
        settled = any(create.open and create.at < before for create in record.unconfirmed_creates)
        uncounted = any(key.undiminished is not None for key in record.leaving)
        if settled or uncounted or record.deletes_held:
            session = Session(runtime.services, target, runtime.services.store.load(name, target.path))
            session.change(partial(_with_explained, account=target.account, report=report, before=before))


def _with_explained(record: Record, account: str, report: AuditReport, before: datetime) -> Record:
    """The record with what the accounts settle of which every key is explained; ``account`` is its target's.

    A record that was set back may not know of keys that were made there since.
    """
    for name in sorted(report.explained):
        record = counted_after_all(explained(record, before, report.at, name), before, name)
    concerned = record.accounts() | {account}
    return deletes_resumed(record, EXPLAINED, report.at) if concerned <= report.explained else record


def _put_redis_right(runtime: Runtime, records: Mapping[str, Record]) -> None:
    """Write what the index lacks, and have targets looked at in time.

    A wake-up that was lost with Redis, and a schedule that was changed, are made good here.
    """
    runtime.shared.repairs.shorten()
    now, targets = runtime.clock.now(), runtime.settings.targets
    known = {name: (records[name], target) for name, target in targets.items() if name in records}
    dues = {name: due_at(record, target, now) for name, (record, target) in known.items()}
    waits = {name: outlook(record, target, now) for name, (record, target) in known.items()}
    runtime.shared.index.refresh(
        IndexEntry(name, summarize(record, dues[name], waits[name]), _ids_to_keep(record))
        for name, (record, _) in known.items()
    )
    runtime.shared.due.look_sooner({name: wait.until for name, wait in waits.items()})


def _ids_to_keep(record: Record) -> list[str]:
    """The ids in a record; none of one that was set back: what Redis knows beyond it names the keys made since."""
    return [] if record.deletes_held else newest_ids(record)


def newest_ids(record: Record) -> list[str]:
    """The ids in a record's history, oldest first: no more than the index keeps."""
    found: dict[str, None] = {}
    for entry in record.history.newest_first():
        found |= dict.fromkeys(sorted(entry.ids))
        if len(found) >= IDS_OF_A_TARGET:
            break
    return list(found)[::-1]
