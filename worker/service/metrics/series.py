"""The series of what all workers share, by name, and their text. Pure; every worker says the same here.

As :mod:`.own`, loaded only where metrics are on: importing prometheus-client takes as long as starting a command.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector

from worker.service.metrics.facts import Condition, TargetFacts

PREFIX = "rotator_"

TARGETS = {
    "target_current_key_created_timestamp_seconds": "When the key that apps read was made.",
    "target_next_rotation_timestamp_seconds": "When the next rotation is wanted; in the past where it is late.",
    "target_last_success_timestamp_seconds": "When the current key was published.",
    "target_last_failure_timestamp_seconds": "When a rotation failed last; none where the record tells of no failure.",
    "target_last_seen_living_timestamp_seconds": "When the watch last saw that the current key works.",
    "target_grace_seconds": "How long the key before works on, by the configuration.",
    "target_max_age_seconds": "How old a key becomes at most, by the configuration.",
    "target_condition": "Whether this holds for the target: 0 or 1.",
    "target_keys": "How many keys of the target are in this state; a state without any is left out, but for current.",
    "target_retire_due_timestamp_seconds": "When the first of the keys in their grace period is to be deleted.",
    "target_unconfirmed_creates": "Creates whose outcome is not known, and that nobody has settled.",
    "target_trouble": "1 for what the watch found wrong with what apps read; left out where nothing is.",
}
"""Of single targets: name, and what it says."""

SHARED = {
    "targets_by_condition": "How many targets this condition holds for.",
    "account_keys": "Keys of the account: counted by HostUp, explained by the records, foreign, at the last audit.",
    "account_findings": "What the last audit found wrong with the account as a whole; a kind without any is left out.",
    "account_circuit_open": "Whether the circuit holds every call to HostUp back: 0 or 1.",
    "account_last_audit_timestamp_seconds": "When an audit of any worker last could count the keys.",
    "account_api_key_created_timestamp_seconds": "Since when the API key in Vault is in use.",
    "account_api_key_next_roll_timestamp_seconds": "When the API key in Vault is rolled by itself; none where never.",
    "account_api_key_waits_for_person": "Whether the API key in Vault waits for a person: 0 or 1.",
    "due_targets": "Targets that want a look now and that no worker has taken up yet.",
    "last_tick_timestamp_seconds": "When a tick of any worker last handed out what is due.",
}
"""Of all targets together, and of the accounts."""


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """One account. Moments are in seconds since 1970; None where something is not known."""

    account: str
    circuit_open: bool
    last_audit: float | None = None
    counted: int | None = None
    explained: int | None = None
    foreign: int | None = None
    findings: Mapping[str, int] = field(default_factory=dict)
    api_key_made: float | None = None
    api_key_rolled_next: float | None = None
    api_key_waits: bool | None = None


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """The schedule of all targets; ``last_tick`` is in seconds since 1970, None where it is not known."""

    due: int
    last_tick: float | None = None


Sample = tuple[str, dict[str, str], float]
"""A series' name, its labels, and its value."""


def shared_text(
    accounts: Iterable[AccountFacts],
    schedule: ScheduleFacts,
    targets: Collection[TargetFacts],
    shown: Iterable[TargetFacts],
) -> str:
    """All of it, as Prometheus reads it; ``shown`` are the targets that have series of their own."""
    return gauges({**SHARED, **TARGETS}, samples(accounts, schedule, targets, shown))


def samples(
    accounts: Iterable[AccountFacts],
    schedule: ScheduleFacts,
    targets: Collection[TargetFacts],
    shown: Iterable[TargetFacts],
) -> Iterator[Sample]:
    """The same as samples."""
    return chain(*map(_of_account, accounts), _of_schedule(schedule), _of_all(targets), *map(_of_target, shown))


def gauges(series: Mapping[str, str], samples: Iterable[Sample]) -> str:
    """Samples below the headings of their series, in the order of the series."""
    found = {name: Metric(PREFIX + name, what, "gauge") for name, what in series.items()}
    for name, labels, value in samples:
        found[name].add_sample(PREFIX + name, labels, value)
    return generate_latest(_Found(tuple(found.values()))).decode()


@dataclass(frozen=True, slots=True)
class _Found(Collector):
    """What is known now, for prometheus-client."""

    metrics: Collection[Metric]

    def collect(self) -> Collection[Metric]:
        return self.metrics


def _of_account(account: AccountFacts) -> Iterator[Sample]:
    label = {"account": account.account}
    for kind, number in (
        ("counted", account.counted),
        ("explained", account.explained),
        ("foreign", account.foreign),
    ):
        if number is not None:
            yield "account_keys", label | {"kind": kind}, number
    for kind, number in account.findings.items():
        yield "account_findings", label | {"kind": kind}, number
    yield "account_circuit_open", label, int(account.circuit_open)
    for name, value in (
        ("account_last_audit_timestamp_seconds", account.last_audit),
        ("account_api_key_created_timestamp_seconds", account.api_key_made),
        ("account_api_key_next_roll_timestamp_seconds", account.api_key_rolled_next),
        ("account_api_key_waits_for_person", account.api_key_waits),
    ):
        if value is not None:
            yield name, label, float(value)


def _of_schedule(schedule: ScheduleFacts) -> Iterator[Sample]:
    if schedule.last_tick is not None:
        yield "last_tick_timestamp_seconds", {}, schedule.last_tick
    yield "due_targets", {}, schedule.due


def _of_all(targets: Collection[TargetFacts]) -> Iterator[Sample]:
    numbers = Counter(condition for target in targets for condition in target.conditions)
    for condition in Condition:
        yield "targets_by_condition", {"condition": condition.value}, numbers[condition]


def _of_target(target: TargetFacts) -> Iterator[Sample]:
    label = {"account": target.account, "target": target.name}
    for name, value in (
        ("target_current_key_created_timestamp_seconds", target.created),
        ("target_next_rotation_timestamp_seconds", target.next_rotation),
        ("target_last_success_timestamp_seconds", target.last_success),
        ("target_last_failure_timestamp_seconds", target.last_failure),
        ("target_last_seen_living_timestamp_seconds", target.last_seen_living),
        ("target_retire_due_timestamp_seconds", target.retire_due),
        ("target_grace_seconds", target.grace),
        ("target_max_age_seconds", target.max_age),
        ("target_unconfirmed_creates", target.unconfirmed),
    ):
        if value is not None:
            yield name, label, value
    for condition in Condition:
        yield "target_condition", label | {"condition": condition.value}, int(condition in target.conditions)
    for state, number in (target.keys or {}).items():
        yield "target_keys", label | {"state": state.value}, number
    if target.trouble:
        yield "target_trouble", label | {"kind": target.trouble.value}, 1
