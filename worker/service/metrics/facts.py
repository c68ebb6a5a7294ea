"""What is known of one target, as numbers. Pure: from what Redis has of it, and from the configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from worker.adapters.redis.reading import Summary
from worker.clock import moment
from worker.rotation.record import TroubleKind
from worker.targets.target import Target

UNREADABLE = "unreadable"
CONFLICT = "Conflict"
"""The phase, and the kind of the error, that :func:`worker.rotation.status.unusable` writes."""

_TROUBLES = {kind.value: kind for kind in TroubleKind}


class Condition(StrEnum):
    """What can hold for a target; several may at once."""

    READY = "Ready"  # it has a key, and nothing is wrong with it or its rotation
    FAILING = "Failing"  # its last rotation failed, and is tried again
    CONFLICT = "Conflict"  # somebody else wrote the app's secret, or its path was changed
    WAITS_FOR_PERSON = "WaitsForPerson"  # no key is made, or none deleted, before a person decides
    PAUSED = "Paused"  # a person paused it, or calls to HostUp are held back, and it was turned away
    UNREADABLE = "Unreadable"  # its record cannot be used


class KeyState(StrEnum):
    """Where a key of a target is in its life."""

    CURRENT = "current"
    STAGED = "staged"  # made, and not published yet
    WAITING = "waiting"  # replaced, in its grace period
    DELETED = "deleted"  # deleted at HostUp, and not proven dead yet
    OVERDUE = "overdue"  # deleted long ago, and still works


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """One target. Moments are in seconds since 1970, None where there is none; spans are in seconds.

    ``max_age`` is None for a target that is rotated only when somebody asks for it.
    """

    name: str
    account: str
    grace: float
    max_age: float | None
    conditions: frozenset[Condition] = frozenset()
    keys: Mapping[KeyState, int] | None = None
    created: float | None = None
    next_rotation: float | None = None
    last_success: float | None = None
    last_failure: float | None = None
    last_seen_living: float | None = None
    retire_due: float | None = None
    unconfirmed: int = 0
    trouble: TroubleKind | None = None

    def is_troubled(self, now: float) -> bool:
        """Whether a person may want to look at it: something holds that should not, or something is late."""
        late = self.next_rotation is not None and self.next_rotation < now
        old = self.created is not None and self.max_age is not None and self.created + self.max_age < now
        overdue = bool(self.keys and self.keys.get(KeyState.OVERDUE))
        return Condition.READY not in self.conditions or late or old or overdue or bool(self.unconfirmed)


def facts_of(
    target: Target, summary: Summary | None, seen_living: str | None, now: datetime, *, turned_away: bool
) -> TargetFacts:
    """What is known of a target; without a summary (nobody has looked at it yet) that is its configuration."""
    grace, schedule = target.grace.total_seconds(), target.schedule
    max_age = None if schedule.is_manual else schedule.greatest_age().total_seconds()
    if summary is None:
        return TargetFacts(target.name, target.account, grace, max_age)
    waiting = [key.retire_after for key in summary.retiring if key.state == KeyState.WAITING]
    return TargetFacts(
        name=target.name,
        account=target.account,
        grace=grace,
        max_age=max_age,
        conditions=frozenset(_conditions(summary, paused=turned_away or _is_paused(summary, now))),
        keys=_keys(summary),
        created=_seconds(summary.created_at),
        next_rotation=_seconds(summary.next_rotation_at),
        last_success=_seconds(summary.published_at),
        last_failure=_seconds(summary.last_failure_at),
        last_seen_living=_seconds(seen_living),
        retire_due=_seconds(min(waiting, default=None)),
        unconfirmed=len(summary.unconfirmed_creates),
        trouble=_trouble(summary),
    )


def _is_paused(summary: Summary, now: datetime) -> bool:
    until = moment(summary.paused.until) if summary.paused else None
    return summary.paused is not None and (until is None or now < until)


def _conditions(summary: Summary, *, paused: bool) -> set[Condition]:
    error, trouble = summary.last_error, _trouble(summary)
    usable = summary.phase != UNREADABLE
    conflict = trouble is TroubleKind.OVERWRITTEN or (error is not None and error.kind == CONFLICT)
    found = {
        Condition.CONFLICT: conflict,
        Condition.UNREADABLE: not usable and not conflict,
        Condition.FAILING: usable and error is not None,
        Condition.WAITS_FOR_PERSON: summary.needs_person,
    }
    wrong = any(found.values()) or trouble is not None or summary.access_key is None
    found |= {Condition.PAUSED: paused, Condition.READY: not wrong}
    return {condition for condition, holds in found.items() if holds}


def _keys(summary: Summary) -> dict[KeyState, int]:
    """How many keys there are in each state; a state without any is left out, but for the current one."""
    states = Counter(key.state for key in summary.retiring)
    found = {state: states[state.value] for state in KeyState if states[state.value]}
    staged = {KeyState.STAGED: 1} if summary.staged_access_key else {}
    return {KeyState.CURRENT: int(summary.access_key is not None)} | staged | found


def _trouble(summary: Summary) -> TroubleKind | None:
    """What the watch found; a word that this release does not know is none."""
    return _TROUBLES.get(summary.trouble.kind) if summary.trouble else None


def _seconds(text: str | None) -> float | None:
    found = moment(text)
    return found.timestamp() if isinstance(found, datetime) else None
