"""Rotations as traces: one for each rotation, whichever workers did its steps, and however long it takes.

Ids of a trace and of its root are made from the rotation's id, so that what several processes send fits together. The
root is sent when the rotation is over; steps may come before it, and the delete of its key weeks later.
Loaded only where traces are sent.
"""

from __future__ import annotations

import hashlib
import threading
from datetime import datetime

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags, set_span_in_context

from worker.rotation.outcomes import FAILED, UNCONFIRMED
from worker.service.telemetry.trouble import Trouble
from worker.spans import INTERRUPTED, ROTATION, Span

_TROUBLED = frozenset({FAILED, UNCONFIRMED, INTERRUPTED})
_NANOSECONDS = 1_000_000_000


class OtlpSpans:
    """The :class:`worker.spans.Spans` of a process that sends traces; safe for use by many threads."""

    def __init__(self, resource: Resource, exporter: SpanExporter, trouble: Trouble) -> None:
        self._trouble = trouble
        self._ids = _Ids()
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("worker.rotation")

    def took(self, span: Span) -> None:
        """See :class:`worker.spans.Spans`."""
        try:
            self._take(span)
        except Exception as error:  # noqa: BLE001 - a defect of the SDK must not end a step
            self._trouble.note(well=False, why=f"the SDK failed ({type(error).__name__}); rotations go on")

    def _take(self, span: Span) -> None:
        trace, root = ids_of(span.rotation_id)
        parent = None
        if span.name == ROTATION:
            self._ids.choose(trace, root)
        else:
            parent = set_span_in_context(NonRecordingSpan(self._root(trace, root)))
        made = self._tracer.start_span(
            span.name, parent, attributes=_attributes(span), start_time=_nanoseconds(span.began)
        )
        if span.outcome in _TROUBLED:
            made.set_status(Status(StatusCode.ERROR, span.outcome))
        made.end(_nanoseconds(span.ended))

    def close(self) -> None:
        """Send what waits, then end; takes as long as the collector does."""
        self._provider.shutdown()

    def _root(self, trace: int, root: int) -> SpanContext:
        """As every process sees it: whether a trace is kept follows from its id, where the sampler goes by that."""
        kept = self._provider.sampler.should_sample(None, trace, ROTATION).decision is Decision.RECORD_AND_SAMPLE
        return SpanContext(trace, root, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED if kept else 0))


def ids_of(rotation_id: str) -> tuple[int, int]:
    """The ids of a rotation's trace and of its root."""
    made = hashlib.sha256(rotation_id.encode()).digest()
    return int.from_bytes(made[:16]), int.from_bytes(made[16:24])


class _Ids(IdGenerator):
    """By chance, but for the root that this thread makes next."""

    def __init__(self) -> None:
        self._here = threading.local()
        self._chance = RandomIdGenerator()

    def choose(self, trace: int, root: int) -> None:
        self._here.trace, self._here.root = trace, root

    def generate_span_id(self) -> int:
        chosen, self._here.root = getattr(self._here, "root", None), None
        return chosen or self._chance.generate_span_id()

    def generate_trace_id(self) -> int:
        chosen, self._here.trace = getattr(self._here, "trace", None), None
        return chosen or self._chance.generate_trace_id()


def _attributes(span: Span) -> dict[str, str | tuple[str, ...]]:
    known: dict[str, str | tuple[str, ...]] = {
        "rotator.account": span.account,
        "rotator.target": span.target,
        "rotator.rotation_id": span.rotation_id,
        "rotator.outcome": span.outcome,
        "rotator.trigger": span.trigger,
        "rotator.request_ids": span.request_ids,
    }
    return {name: value for name, value in known.items() if value}


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * _NANOSECONDS)
