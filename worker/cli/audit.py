"""``rotator audit``: do HostUp's keyCount, the records and the calendar agree? The hourly task does the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from worker.cli.held import held_now
from worker.cli.options import Options
from worker.cli.output import print_facts, print_lines, progress, result
from worker.rotation.audit import AuditReport
from worker.rotation.audit import audit as look
from worker.rotation.findings import AuditFinding
from worker.service.audit_task import slack
from worker.settings.environment import Need


def audit(options: Options) -> int:
    """Print what was found; 1 when there is anything."""
    runtime = options.runtime(Need.HOSTUP | Need.VAULT)
    report = look(runtime.services, runtime.settings.targets, slack(runtime), progress("reading records"))
    held = (AuditFinding("held", None, what, hint) for what, hint in held_now(runtime))
    report = replace(report, findings=(*held, *report.findings))
    result(options, _document(report), lambda: _print_report(report))
    return 1 if report.findings else 0


def _document(report: AuditReport) -> dict[str, Any]:
    return {
        "at": report.at.isoformat(timespec="milliseconds"),
        "key_count": report.key_count,
        "on_record": report.on_record,
        "foreign": report.foreign,
        "drift": report.drift,
        "findings": [_finding(finding) for finding in report.findings],
    }


def _finding(finding: AuditFinding) -> dict[str, Any]:
    return {"kind": finding.kind, "target": finding.target, "what": finding.what, "hint": finding.hint}


def _print_report(report: AuditReport) -> None:
    for finding in report.findings:
        about = f"{finding.target}: " if finding.target else ""
        print_lines([f"{about}{finding.what}", f"  {finding.hint}"])
    if report.findings:
        print_lines([""])
    print_facts(
        [
            ("keys at HostUp", _number(report.key_count)),
            ("on record", str(report.on_record)),
            ("foreign", _number(report.foreign)),
            ("unexplained", _number(report.drift)),
            ("findings", str(len(report.findings))),
        ]
    )


def _number(number: int | None) -> str:
    return "not known" if number is None else str(number)
