"""What strangers did themselves, so that the checker does not lay it at the worker's door; everything else is ours.

A stranger's is: a key that he deleted, or that his writing over a secret named; and of a Vault that was set back, what
was done between the snapshot and its restore and is on no record since: keys made and deleted, requestIds, labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from worker.selftest.checker import BrokenPromise, Case

UNDER_WAY = timedelta(seconds=6)
"""Calls that began so long before a snapshot may have been put on record after it (weather.VERY_LATE, and a lease)."""


@dataclass(frozen=True, slots=True)
class SetBack:
    """Vault forgot what was done between these moments."""

    snapshot_at: datetime
    restored_at: datetime

    def covers(self, moment: datetime) -> bool:
        """Whether what was done then may be forgotten."""
        return self.snapshot_at - UNDER_WAY <= moment <= self.restored_at


@dataclass(slots=True)
class Harm:
    """All that strangers did. ``written`` is what they and a person wrote: by path and version, and when."""

    keys: set[str] = field(default_factory=set)
    set_backs: list[SetBack] = field(default_factory=list)
    written: dict[tuple[str, int], datetime] = field(default_factory=dict)

    def covers(self, moment: datetime) -> bool:
        """Whether Vault forgot what was done then."""
        return any(each.covers(moment) for each in self.set_backs)

    def forgotten(self, case: Case) -> frozenset[str]:
        """Keys, requestIds and labels of the calls that Vault forgot."""
        return frozenset(self._forgotten(case))

    def _forgotten(self, case: Case) -> Iterator[str]:
        for call in case.calls:
            if self.covers(call.at) or (call.effect_at and self.covers(call.effect_at)):
                yield from (each for each in (call.access_key, call.request_id, call.label) if each)

    def without(self, findings: Iterable[BrokenPromise], case: Case) -> tuple[BrokenPromise, ...]:
        """The findings that are not a stranger's doing."""
        theirs = self.forgotten(case)
        return tuple(each for each in findings if each.subject not in theirs and not self._is_of_their_version(each))

    def _is_of_their_version(self, finding: BrokenPromise) -> bool:
        """A dead key in a version that the worker did not write, or such a version that is gone and on no record."""
        return any(
            finding.what.endswith(f"version {version} of {path} still holds it")
            or (finding.subject == path and finding.what == f"nobody knows which key version {version} held")
            for path, version in self.written
        )

    def wrote(self, path: str, version: int) -> None:
        """Somebody else than the worker wrote a version."""
        self.written[path, version] = now()

    def start_again(self, path: str) -> None:
        """Versions at a path begin at 1 again."""
        self.written = {at: when for at, when in self.written.items() if at[0] != path}

    def set_back(self, snapshot_at: datetime) -> None:
        """Vault forgot what was done since."""
        self.set_backs.append(SetBack(snapshot_at, now()))
        self.written = {at: when for at, when in self.written.items() if when < snapshot_at}

    def apps_may_miss(self, case: Case) -> frozenset[str]:
        """Keys with which apps may fail: those that a stranger deleted, and those that a set-back Vault named again."""
        gone = {call.access_key for call in case.deletes if call.access_key and self.covers(call.effect_at or call.at)}
        return frozenset(self.keys | gone)


def now() -> datetime:
    """The machine's time, as ledger and Vault have it."""
    return datetime.now(UTC)
