"""What is sent by OTLP over HTTP, set by the standard variables ``OTEL_*``, most of which the library reads itself.

Loaded only where one of the endpoints is set and the extra ``otel`` is installed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from worker import __version__
from worker.clock import Clock
from worker.service.metrics.series import Sample
from worker.service.telemetry.numbers import OtlpNumbers
from worker.service.telemetry.traces import OtlpSpans
from worker.service.telemetry.trouble import Trouble
from worker.settings.telemetry import Telemetry

GOODBYE = 5.0
"""Seconds for what is still to be sent when the worker ends."""

SERVICE = "hostup-rotator"

_HINT = (
    "See OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS, and whether the collector takes OTLP over HTTP."
)


class Otlp:
    """Traces and metrics of a process, each where it is on."""

    def __init__(self, telemetry: Telemetry, worker: str, accounts: Iterable[str]) -> None:
        sender = _resource(worker)
        traces = Trouble("traces", _HINT)
        self.spans = OtlpSpans(sender, _SpanExporter(traces), traces) if telemetry.traces else None
        exporter = _MetricExporter(Trouble("metrics", _HINT)) if telemetry.metrics else None
        self.numbers = OtlpNumbers(sender, exporter, accounts) if exporter else None

    def show(self, series: Mapping[str, str], read: Callable[[], Iterable[Sample]], clock: Clock) -> None:
        """Have these gauges among the metrics."""
        if self.numbers:
            self.numbers.show(series, read, clock)

    def close(self) -> None:
        """Send what waits. A collector that hangs keeps nobody for longer than :data:`GOODBYE`."""
        ends = [part.close for part in (self.spans, self.numbers) if part]
        threads = [threading.Thread(target=end, name="telemetry", daemon=True) for end in ends]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(GOODBYE / len(threads))


class _SpanExporter(OTLPSpanExporter):
    """The library's, which tells how it goes."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__()
        self._trouble = trouble

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = super().export(spans)
        self._trouble.note(well=result is SpanExportResult.SUCCESS)
        return result


class _MetricExporter(OTLPMetricExporter):
    """The library's, which tells how it goes."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__()
        self._trouble = trouble

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: object
    ) -> MetricExportResult:
        result = super().export(metrics_data, timeout_millis, **kwargs)
        self._trouble.note(well=result is MetricExportResult.SUCCESS)
        return result


def _resource(worker: str) -> Resource:
    """Who sends; the standard variables win."""
    ours = {"service.name": SERVICE, "service.version": __version__, "service.instance.id": worker}
    return Resource.create({**ours, **OTELResourceDetector().detect().attributes})
