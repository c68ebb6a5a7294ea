"""``rotator audit``: do HostUp's keyCount, the records and the calendar agree? The hourly task does the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from worker.cli.held import held_now
from worker.cli.options import Options
from worker.cli.output import print_facts, print_lines, print_table, progress, result
from worker.errors import RecordError
from worker.rotation.audit import AccountCount, AuditReport
from worker.rotation.chain import ChainState
from worker.rotation.findings import AuditFinding, of_chain
from worker.rotation.services import Services
from worker.rotation.survey import read_all
from worker.rotation.whole import whole_history
from worker.service.audit_task import whole_audit
from worker.settings.environment import Need


def audit(options: Options) -> int:
    """Print what was found; 1 when there is anything."""
    runtime = options.runtime(Need.HOSTUP | Need.VAULT)
    report = whole_audit(runtime, progress("reading records"))
    held = (AuditFinding("held", None, what, hint) for what, hint in held_now(runtime))
    chains = _chains(runtime.services)
    broken = (finding for name, chain in chains.items() if chain for finding in of_chain(name, chain))
    others = (finding for finding in report.findings if finding.kind != "chain")
    report = replace(report, findings=(*held, *others, *broken))
    result(options, _document(report, chains), lambda: _print_report(report, chains))
    return 1 if report.findings else 0


def _chains(services: Services) -> dict[str, ChainState | None]:
    """How the chain of each history was found, archives included; None where a history cannot be read."""

    def read(name: str) -> ChainState | None:
        try:
            return whole_history(services.store, name).chain
        except RecordError:
            return None  # the finding about the record says why

    return dict(read_all(sorted(services.store.targets()), read, progress("checking histories")))


def _document(report: AuditReport, chains: Mapping[str, ChainState | None]) -> dict[str, Any]:
    return {
        "at": report.at.isoformat(timespec="milliseconds"),
        "key_count": report.key_count,
        "on_record": report.on_record,
        "foreign": report.foreign,
        "drift": report.drift,
        "accounts": [_account(count) for count in report.accounts],
        "findings": [_finding(finding) for finding in report.findings],
        "chains": [_chain(name, chain) for name, chain in chains.items() if chain],
    }


def _account(count: AccountCount) -> dict[str, Any]:
    return {
        "account": count.account,
        "key_count": count.key_count,
        "on_record": count.on_record,
        "foreign": count.foreign,
        "drift": count.drift,
    }


def _chain(name: str, chain: ChainState) -> dict[str, Any]:
    return {
        "target": name,
        "holds": chain.holds,
        "entries": chain.entries,
        "begins_at": chain.begins_at,
        "newest": chain.newest,
        "head": chain.head,
        "words": chain.words,
    }


def _finding(finding: AuditFinding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "target": finding.target,
        "account": finding.account,
        "what": finding.what,
        "hint": finding.hint,
    }


def _print_report(report: AuditReport, chains: Mapping[str, ChainState | None]) -> None:
    for finding in report.findings:
        about = f"{finding.target}: " if finding.target else ""
        print_lines([f"{about}{finding.what}", f"  {finding.hint}"])
    if report.findings:
        print_lines([""])
    if len(report.accounts) > 1:
        columns = ("ACCOUNT", "KEYS AT HOSTUP", "ON RECORD", "FOREIGN", "UNEXPLAINED")
        print_table(columns, map(_row, report.accounts))
        print_lines([""])
    print_facts(
        [
            ("keys at HostUp", _number(report.key_count)),
            ("on record", str(report.on_record)),
            ("foreign", _number(report.foreign)),
            ("unexplained", _number(report.drift)),
            ("whole histories", f"{sum(1 for each in chains.values() if each and each.holds)} of {len(chains)}"),
            ("accepted breaks", str(sum(len(each.accepted) for each in chains.values() if each) or "")),
            ("findings", str(len(report.findings))),
        ]
    )


def _row(count: AccountCount) -> tuple[str, ...]:
    numbers = (count.key_count, count.on_record, count.foreign, count.drift)
    return (count.account, *map(_number, numbers))


def _number(number: int | None) -> str:
    return "not known" if number is None else str(number)
