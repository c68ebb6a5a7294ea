"""The watch: what one look costs in calls and CPU, and how many targets a worker's share of threads can watch."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from tests.bench.parts import runtime_of
from tests.bench.processes import usage
from tests.bench.seed import seed
from tests.bench.stage import Shape, Stage, Worker, names, set_up, wait_until
from tests.bench.steps import REST, WARM_UP, Book, measured
from worker.adapters.redis.keys import SEEN, WATCHES
from worker.service.assemble import Runtime
from worker.service.look import watch_while_nothing_is_due
from worker.service.share import watching_threads

THREADS = 8
LATENCIES = (0, 50)
"""Milliseconds that the object storage takes."""

HOUR = 3600


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one worker watched so many targets, all at once, with nothing else to do; CPU in seconds."""

    s3_latency_ms: int
    targets: int
    threads: int
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Looks per second."""
        return self.targets / self.seconds


@dataclass(frozen=True, slots=True)
class Watching:
    """One look at a healthy target: CPU milliseconds in all, and by call with how often it is made. ``paces``."""

    looks: int
    cpu_ms: float
    calls: dict[str, tuple[float, float]]
    paces: tuple[Pace, ...]

    def per_hour(self, targets: int, every: float) -> dict[str, float]:
        """Computed, not measured: calls in an hour to Vault and to the storage, and CPU seconds of the worker."""
        looks = targets * HOUR / every
        by_service = {
            service: looks * sum(times for name, (times, _) in self.calls.items() if name.startswith(service))
            for service in ("Vault", "S3")
        }
        return {**by_service, "CPU seconds": looks * self.cpu_ms / 1000}

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self)


def watching(looks: int, targets: int) -> Watching:
    """Look at healthy targets one by one in one thread; then let a worker watch many."""
    with set_up(Shape(looks + WARM_UP, 1, every="400d")) as stage:
        seed(stage)
        stage.hold()
        with runtime_of(stage) as runtime:
            book = Book()
            whole = _looked(measured(runtime, book), names(stage.shape.targets), book)
    ms = whole * 1000 / looks
    calls = {name: (book.times[name] / looks, spent * 1000 / looks) for name, spent in book.spent.items()}
    rest = ms - sum(spent for _, spent in calls.values())
    return Watching(looks, ms, calls | {REST: (1.0, rest)}, tuple(_paces(targets)))


def _looked(runtime: Runtime, targets: list[str], book: Book) -> float:
    for name in targets[:WARM_UP]:
        watch_while_nothing_is_due(runtime, name)
    book.spent.clear()
    book.times.clear()
    began = time.thread_time()
    for name in targets[WARM_UP:]:
        watch_while_nothing_is_due(runtime, name)
    return time.thread_time() - began


def _paces(targets: int) -> list[Pace]:
    with set_up(Shape(targets, THREADS, every="400d", tick="1s")) as stage:
        seed(stage)
        stage.hold()
        worker = stage.start(THREADS)
        stage.wait_for("index.rebuilt", 1, [worker])
        return [_pace(stage, worker, latency) for latency in LATENCIES]


def _pace(stage: Stage, worker: Worker, s3_latency_ms: int) -> Pace:
    """From the moment at which all want to be watched until the last one was."""
    stage.sandbox.simulator.admin.behave(s3_latency_ms=s3_latency_ms)
    client, every = stage.shared().client, names(stage.shape.targets)
    client.delete(SEEN)
    began, before = time.monotonic(), usage(worker.process.pid).cpu
    client.zadd(WATCHES, dict.fromkeys(every, time.time()))
    wait_until(lambda: int(client.hlen(SEEN)) >= len(every), "a look at every target", [worker])
    seconds, cpu = time.monotonic() - began, usage(worker.process.pid).cpu - before
    return Pace(s3_latency_ms, len(every), watching_threads(THREADS), seconds, cpu)
