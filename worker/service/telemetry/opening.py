"""What a process tells who collects, for as long as it lives; what is not installed is not loaded, and said once."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, Self

from worker.errors import QueueUnavailable
from worker.meter import NO_METER, Meter, Meters
from worker.service.assemble import Runtime
from worker.service.telemetry.trouble import Trouble
from worker.settings.settings import Settings
from worker.settings.telemetry import Telemetry
from worker.spans import NO_SPANS, Spans

if TYPE_CHECKING:
    from worker.service.metrics.series import Sample
    from worker.service.telemetry.otlp import Otlp

_HINT = "Install it, or take OTEL_EXPORTER_OTLP_ENDPOINT from the worker's environment. Rotations go on without."


class Collected:
    """Traces and metrics by OTLP, where they are on; ``also`` is told of the same numbers."""

    def __init__(self, settings: Settings, worker: str, also: Meter | None) -> None:
        self._otlp = _opened(settings.telemetry, worker, settings.accounts)
        spans, numbers = (self._otlp.spans, self._otlp.numbers) if self._otlp else (None, None)
        self.spans: Spans = spans or NO_SPANS
        meters: list[Meter] = [meter for meter in (also, numbers) if meter]
        self.meter: Meter = Meters(tuple(meters)) if len(meters) > 1 else meters[0] if meters else NO_METER

    def show(self, runtime: Runtime) -> None:
        """Have the metrics tell of what all workers share, and of this process."""
        if self._otlp is None or self._otlp.numbers is None:
            return
        from worker.service.metrics.series import SHARED, TARGETS  # noqa: PLC0415 - loaded where it is used only
        from worker.service.metrics.shared import SharedMetrics  # noqa: PLC0415 - as above
        from worker.service.pages import OWN, looking, own_samples  # noqa: PLC0415 - as above

        shared = SharedMetrics(runtime.settings, looking(runtime), runtime.clock)

        def read() -> Iterable[Sample]:
            found: list[Sample] = []
            with suppress(QueueUnavailable):  # the log says so
                found += shared.samples()
            return chain(found, own_samples(runtime))

        self._otlp.show({**SHARED, **TARGETS, **OWN}, read, runtime.clock)

    def __enter__(self) -> Self:
        """Nothing is to be done first."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what waits."""
        if self._otlp:
            self._otlp.close()


def _opened(telemetry: Telemetry, worker: str, accounts: Iterable[str]) -> Otlp | None:
    if not (telemetry.traces or telemetry.metrics):
        return None
    trouble = Trouble("OTLP", _HINT)
    if telemetry.protocol:
        trouble.note(well=False, why=f"the protocol is {telemetry.protocol}; http/protobuf is spoken here only")
        return None
    try:
        from worker.service.telemetry.otlp import Otlp  # noqa: PLC0415 - loaded where it is used only
    except ModuleNotFoundError:
        trouble.note(well=False, why="an endpoint is set, but hostup-rotator[otel] is not installed")
        return None
    try:
        return Otlp(telemetry, worker, accounts)
    except (ValueError, TypeError, OSError) as error:  # the library's, whose texts may quote
        kind = type(error).__name__
        trouble.note(well=False, why=f"one of the variables OTEL_... has a value that cannot be used ({kind})")
        return None
