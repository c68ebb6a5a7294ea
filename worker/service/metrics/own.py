"""What this process counts and times of itself; loaded only where metrics are on, as :mod:`.series`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from worker.rotation.changes.rotation import TRIGGERS
from worker.rotation.outcomes import FAILED, SUCCEEDED, UNCONFIRMED
from worker.service.metrics.series import PREFIX
from worker.targets.account import DEFAULT_ACCOUNT

OUTCOMES = (SUCCEEDED, FAILED, UNCONFIRMED)

_CALLS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0)
_STEPS = (*_CALLS, 80.0, 120.0)
_DEATHS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 3600.0, 14400.0)
"""Upper bounds, in seconds: a create has 40 s at most, a key's death is an alarm after 20 minutes."""

COUNTERS = {
    "rotations": ("Rotations that ended; a failed one is tried again.", ("account", "trigger", "outcome")),
    "api_requests": ("HTTP calls of this process by what they are for.", ("account", "service", "operation", "code")),
    "notices": ("Notices to people, by the way that they took.", ("channel", "outcome")),
}
"""Each is exported with ``_total`` behind its name."""

HISTOGRAMS = {
    "rotation_step_duration_seconds": ("How long a step of a target took.", ("account", "step"), _STEPS),
    "revocation_duration_seconds": ("From a key's delete to the proof that it is dead.", ("account",), _DEATHS),
    "api_request_duration_seconds": ("How long an HTTP call took.", ("account", "service", "operation"), _CALLS),
}

_SAMPLES = (
    *(f"{PREFIX}{name}_total" for name in COUNTERS),
    *(f"{PREFIX}{name}{end}" for name in HISTOGRAMS for end in ("_bucket", "_sum", "_count")),
)
"""Not the moments at which counters began (``_created``), which double their number."""


class OwnMetrics:
    """The :class:`worker.meter.Meter` of a process with metrics; safe for use by many threads."""

    def __init__(self, accounts: Iterable[str] = (DEFAULT_ACCOUNT,)) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        self._counters = {
            name: Counter(PREFIX + name, what, labels, registry=self._registry)
            for name, (what, labels) in COUNTERS.items()
        }
        self._histograms = {
            name: Histogram(PREFIX + name, what, labels, registry=self._registry, buckets=buckets)
            for name, (what, labels, buckets) in HISTOGRAMS.items()
        }
        # from the beginning, as no increase is seen of a series that begins with its first one
        for account, trigger, outcome in product(accounts, TRIGGERS, OUTCOMES):
            self._counters["rotations"].labels(account, trigger, outcome)

    def text(self) -> str:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry.restricted_registry(_SAMPLES)).decode()

    def called(self, service: str, operation: str, code: str, seconds: float, account: str = "") -> None:
        """See :class:`worker.meter.Meter`."""
        self._counters["api_requests"].labels(account, service, operation, code).inc()
        self._histograms["api_request_duration_seconds"].labels(account, service, operation).observe(seconds)

    def stepped(self, step: str, seconds: float, account: str) -> None:
        """See :class:`worker.meter.Meter`."""
        self._histograms["rotation_step_duration_seconds"].labels(account, step).observe(seconds)

    def rotated(self, trigger: str, outcome: str, account: str) -> None:
        """See :class:`worker.meter.Meter`."""
        self._counters["rotations"].labels(account, trigger, outcome).inc()

    def died(self, seconds: float, account: str) -> None:
        """See :class:`worker.meter.Meter`."""
        self._histograms["revocation_duration_seconds"].labels(account).observe(seconds)

    def noticed(self, channel: str, outcome: str) -> None:
        """See :class:`worker.meter.Meter`."""
        self._counters["notices"].labels(channel, outcome).inc()
