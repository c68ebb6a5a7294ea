"""The audit: do the keys that HostUp counts, the records and the calendar agree? Finds, and changes nothing.

``keyCount`` is the one way to see keys that nobody has on record (page "Service status"). Keys that were there before
the worker came are foreign: see :mod:`worker.rotation.baseline`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from worker.errors import RecordDeleted
from worker.rotation.baseline import ensure_baseline
from worker.rotation.findings import AuditFinding, of_account, of_storage, of_targets, of_trouble
from worker.rotation.observe import observe_all
from worker.rotation.services import Services
from worker.rotation.survey import Progress, Survey, survey
from worker.targets.target import Target

PASSES = 3
PASS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What an audit found. ``drift``: keys that nothing explains (negative: keys that are missing); None: not known."""

    at: datetime
    targets: int
    key_count: int | None
    on_record: int
    foreign: int | None
    drift: int | None
    findings: tuple[AuditFinding, ...]
    survey: Survey = field(repr=False)

    @property
    def still_foreign(self) -> int | None:
        """How many keys are foreign that nobody has taken over by name."""
        return None if self.foreign is None else max(0, self.foreign - self.survey.adopted)


def audit(
    services: Services, targets: Mapping[str, Target], slack: timedelta, progress: Progress | None = None
) -> AuditReport:
    """Look at everything. ``slack`` is how late something may be before it is reported. Raises VaultError."""
    foreign, findings = _foreign_keys(services, targets)
    seen, count, drift = _measure(services, targets, foreign, progress)
    now = services.clock.now()
    findings += [
        *of_storage(services),
        *of_account(services, seen, count, drift),
        *of_targets(seen, targets, now, slack),
    ]
    if drift and drift < 0:
        findings += _missing_keys(services, seen, targets)
    return AuditReport(now, len(targets), count, seen.living, foreign, drift, tuple(findings), seen)


def _foreign_keys(services: Services, targets: Mapping[str, Target]) -> tuple[int | None, list[AuditFinding]]:
    """How many keys are foreign; where that note was deleted, nobody knows, and all else is looked at all the same."""
    try:
        return ensure_baseline(services, targets), []
    except RecordDeleted as error:
        return None, [AuditFinding("account", None, error.what, error.hint)]


def _missing_keys(services: Services, seen: Survey, targets: Mapping[str, Target]) -> list[AuditFinding]:
    """Keys are missing: see whether they are current ones, which the watch has not found yet."""
    observed = observe_all(services, seen.records, targets)
    return [
        of_trouble(name, observation.trouble)
        for name, observation in observed.items()
        if observation.trouble and seen.records[name].trouble is None
    ]


def _measure(
    services: Services, targets: Mapping[str, Target], foreign: int | None, progress: Progress | None
) -> tuple[Survey, int | None, int | None]:
    """Count and read until nothing moved in between and two looks agree; what still moves is no drift."""
    last: int | None = None
    for _ in range(PASSES + 1):
        before = services.account.key_count()
        seen = survey(services, targets, progress)
        after = services.account.key_count()
        if after is None or foreign is None:
            return seen, after, None
        still = before == after and not seen.creating
        drift = after - seen.living - max(0, foreign - seen.adopted)
        if still and drift in (0, last):
            return seen, after, drift
        last = drift if still else None
        services.clock.wait(PASS_SECONDS)
    return seen, after, None
