"""What a scrape of many targets costs: the text that Prometheus gets, made anew from Redis."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Literal

from tests.bench.parts import runtime_of
from tests.bench.stage import Shape, Stage, names, path_of, set_up, utc
from tests.records import current
from worker.adapters.redis.index import IndexEntry
from worker.rotation.decide import Wait
from worker.rotation.record import Record
from worker.rotation.status import summarize
from worker.service.metrics.shared import SharedMetrics

TIMES = 3


@dataclass(frozen=True, slots=True)
class Scrape:
    """The fastest of a few: seconds, also of CPU; ``shown`` is the setting ``[metrics] targets``."""

    targets: int
    shown: str
    lines: int
    megabytes: float
    seconds: float
    cpu: float

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self)


def metrics(targets: int) -> tuple[Scrape, ...]:
    """With series of every target, and with none of single targets."""
    with set_up(Shape(targets, 8)) as stage:
        _fill_index(stage)
        return tuple(_scraped(stage, shown) for shown in ("all", "none"))


def _scraped(stage: Stage, shown: Literal["all", "none"]) -> Scrape:
    found = []
    with runtime_of(stage) as runtime:
        shown_so = runtime.settings.metrics.model_copy(update={"targets": shown})
        settings = replace(runtime.settings, metrics=shown_so)
        for _ in range(TIMES):
            began, used = time.monotonic(), time.process_time()
            text = SharedMetrics(settings, runtime.shared, runtime.clock).text()
            seconds, cpu = time.monotonic() - began, time.process_time() - used
            found.append(Scrape(stage.shape.targets, shown, text.count("\n"), len(text) / 1e6, seconds, cpu))
    return min(found, key=lambda each: each.cpu)


def _fill_index(stage: Stage) -> None:
    wait = Wait(utc(), "the bench")
    records = (Record(target=name, path=path_of(name), current=current()) for name in names(stage.shape.targets))
    stage.shared().index.refresh(IndexEntry(record.target, summarize(record, utc(), wait), ()) for record in records)
