"""What a collector was told, by the libraries' own parsers: OTLP over HTTP, and Sentry's envelopes."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from sentry_sdk.envelope import Envelope

from tests.wire import Wire

QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "100", "OTEL_METRIC_EXPORT_INTERVAL": "500"}
"""So that a test waits for nothing; in milliseconds."""


@dataclass(frozen=True, slots=True)
class Told:
    """One span."""

    name: str
    trace: bytes
    id: bytes
    parent: bytes
    attributes: Mapping[str, Any]
    seconds: float
    is_error: bool


def spans(wire: Wire) -> list[Told]:
    """In the order they came."""
    return [_told(span) for span in _spans(wire)]


def of_rotation(wire: Wire, rotation_id: str) -> dict[str, list[Told]]:
    """The spans of one rotation by their names."""
    found: dict[str, list[Told]] = {}
    for span in spans(wire):
        if span.attributes["rotator.rotation_id"] == rotation_id:
            found.setdefault(span.name, []).append(span)
    return found


def numbers(wire: Wire) -> dict[str, dict[frozenset[tuple[str, Any]], float]]:
    """The newest value of each series by its name and labels; of a histogram how many there were."""
    found: dict[str, dict[frozenset[tuple[str, Any]], float]] = {}
    for metric in _metrics(wire):
        for labels, value in _points(metric):
            found.setdefault(metric.name, {})[labels] = value
    return found


def resource(wire: Wire) -> dict[str, Any]:
    """Who sent the first trace."""
    first = next(heard for heard in wire.heard if heard.target == "/v1/traces")
    return _values(ExportTraceServiceRequest.FromString(first.body).resource_spans[0].resource.attributes)


def reports(wire: Wire) -> list[dict[str, Any]]:
    """Sentry's events."""
    envelopes = (Envelope.deserialize(body) for body in bodies(wire, "/api/"))
    return [{**event} for envelope in envelopes if (event := envelope.get_event()) is not None]


def bodies(wire: Wire, under: str = "/") -> list[bytes]:
    """What came, unpacked."""
    heard = [each for each in wire.heard if each.target.startswith(under)]
    return [gzip.decompress(h.body) if h.headers.get("content-encoding") == "gzip" else h.body for h in heard]


def _spans(wire: Wire) -> Iterator[Span]:
    for body in bodies(wire, "/v1/traces"):
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in group.scope_spans:
                yield from scope.spans


def _metrics(wire: Wire) -> Iterator[Metric]:
    for body in bodies(wire, "/v1/metrics"):
        for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in group.scope_metrics:
                yield from scope.metrics


def _told(span: Span) -> Told:
    seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    is_error = span.status.code == span.status.STATUS_CODE_ERROR
    return Told(
        span.name, span.trace_id, span.span_id, span.parent_span_id, _values(span.attributes), seconds, is_error
    )


def _points(metric: Metric) -> Iterator[tuple[frozenset[tuple[str, Any]], float]]:
    for histogram in metric.histogram.data_points:
        yield frozenset(_values(histogram.attributes).items()), histogram.count
    for number in (*metric.gauge.data_points, *metric.sum.data_points):
        yield frozenset(_values(number.attributes).items()), number.as_double or number.as_int


def _values(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(inner) for inner in value.array_value.values]
    return getattr(value, kind) if kind else None
