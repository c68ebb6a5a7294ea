"""The series of `/metrics` by OTLP: the same names, the same numbers. Loaded only where they are sent.

What this process counts is counted here as well; what all workers share is read anew for each export.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from itertools import product

from opentelemetry.metrics import CallbackOptions, ObservableGauge, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics import ObservableGauge as SdkObservableGauge
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from worker.clock import Clock
from worker.rotation.changes.rotation import TRIGGERS
from worker.service.metrics.own import COUNTERS, HISTOGRAMS, OUTCOMES
from worker.service.metrics.series import PREFIX, Sample

MOST_SAMPLES = 1_000_000
"""Of one series in one export: more than any number of targets has. The library's own limit is 2,000."""

TOGETHER_SECONDS = 5.0
"""What the series of one export are made of is not read again for so long."""


class OtlpNumbers:
    """The :class:`worker.meter.Meter` of a process that sends metrics, and the gauges beside it."""

    def __init__(self, resource: Resource, exporter: MetricExporter, accounts: Iterable[str]) -> None:
        reader = PeriodicExportingMetricReader(exporter, cardinality_limits={SdkObservableGauge: MOST_SAMPLES})
        self._provider = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._meter = self._provider.get_meter("worker.service.metrics")
        self._counters = {
            name: self._meter.create_counter(PREFIX + name, description=what) for name, (what, _) in COUNTERS.items()
        }
        self._histograms = {
            name: self._meter.create_histogram(
                PREFIX + name, "s", description=what, explicit_bucket_boundaries_advisory=bounds
            )
            for name, (what, _, bounds) in HISTOGRAMS.items()
        }
        for account, trigger, outcome in product(accounts, TRIGGERS, OUTCOMES):
            self._rotated(trigger, outcome, account, 0)

    def show(self, series: Mapping[str, str], read: Callable[[], Iterable[Sample]], clock: Clock) -> None:
        """Have these gauges (name, and what it says) in every export, as ``read`` then finds them."""
        readings = _Readings(read, clock)
        for name, what in series.items():
            self._gauge(name, what, readings)

    def _gauge(self, name: str, what: str, readings: _Readings) -> ObservableGauge:
        def observe(options: CallbackOptions) -> Iterable[Observation]:
            del options
            return readings.of(name)

        return self._meter.create_observable_gauge(PREFIX + name, [observe], description=what)

    def close(self) -> None:
        """Send the numbers once more, then end; takes as long as the collector does."""
        self._provider.shutdown()

    def called(self, service: str, operation: str, code: str, seconds: float, account: str = "") -> None:
        """See :class:`worker.meter.Meter`."""
        what = {"service": service, "operation": operation} | ({"account": account} if account else {})
        self._counters["api_requests"].add(1, what | {"code": code})
        self._histograms["api_request_duration_seconds"].record(seconds, what)

    def stepped(self, step: str, seconds: float, account: str) -> None:
        """See :class:`worker.meter.Meter`."""
        self._histograms["rotation_step_duration_seconds"].record(seconds, {"account": account, "step": step})

    def rotated(self, trigger: str, outcome: str, account: str) -> None:
        """See :class:`worker.meter.Meter`."""
        self._rotated(trigger, outcome, account, 1)

    def died(self, seconds: float, account: str) -> None:
        """See :class:`worker.meter.Meter`."""
        self._histograms["revocation_duration_seconds"].record(seconds, {"account": account})

    def noticed(self, channel: str, outcome: str) -> None:
        """See :class:`worker.meter.Meter`."""
        self._counters["notices"].add(1, {"channel": channel, "outcome": outcome})

    def _rotated(self, trigger: str, outcome: str, account: str, number: int) -> None:
        self._counters["rotations"].add(number, {"account": account, "trigger": trigger, "outcome": outcome})


class _Readings:
    """What all series of one export are made of; used by the thread that exports alone."""

    def __init__(self, read: Callable[[], Iterable[Sample]], clock: Clock) -> None:
        self._read = read
        self._clock = clock
        self._made = -math.inf
        self._found: dict[str, list[Observation]] = {}

    def of(self, name: str) -> Iterable[Observation]:
        if self._clock.monotonic() - self._made >= TOGETHER_SECONDS:
            self._found = {}
            for series, labels, value in self._read():
                self._found.setdefault(series, []).append(Observation(value, labels))
            self._made = self._clock.monotonic()
        return self._found.get(name, ())
