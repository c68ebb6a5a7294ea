"""A quiet system: how long one rotation takes from its message to the new version, and what an idle worker uses."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass

from tests.bench.processes import usage
from tests.bench.seed import seed
from tests.bench.stage import Shape, Stage, Worker, names, set_up, utc
from tests.bench.throughput import DONE, FLOOR, alone
from worker.service.celery_app import make_app


@dataclass(frozen=True, slots=True)
class Quiet:
    """Milliseconds from message to published (median and worst), of its bare calls; idle CPU in percent of a core."""

    rotations: int
    median_ms: float
    worst_ms: float
    bare_ms: float
    idle_percent: float
    idle_memory: float

    @property
    def overhead_ms(self) -> float:
        """What the service adds to the calls."""
        return self.median_ms - self.bare_ms

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self) | {"overhead_ms": self.overhead_ms}


def quiet(rotations: int, idle_seconds: float) -> Quiet:
    """Send one message after the other, each when the rotation before is done; then nothing for a while."""
    shape = Shape(rotations, 8, every="400d", tick="5s")
    with set_up(shape) as stage:
        seed(stage)
        stage.hold()
        worker = stage.start(8)
        stage.wait_for("index.rebuilt", 1, [worker])
        took = _one_by_one(stage, worker)
        time.sleep(1)  # what the last message left to do
        before, began = usage(worker.process.pid), time.monotonic()
        time.sleep(idle_seconds)
        after = usage(worker.process.pid)
        idle = (after.cpu - before.cpu) / (time.monotonic() - began)
    bare = alone(FLOOR, max(rotations, 20), 0)
    bare_ms = bare.seconds * 1000 / bare.rotations
    return Quiet(rotations, statistics.median(took), max(took), bare_ms, idle * 100, after.memory)


def _one_by_one(stage: Stage, worker: Worker) -> list[float]:
    assert stage.sandbox.valkey is not None
    app = make_app(stage.sandbox.valkey.url)
    took = []
    for number, name in enumerate(names(stage.shape.targets), start=1):
        began = utc()
        app.send_task("rotator.rotate", args=[name, "bench"])
        stage.wait_for(DONE, number, [worker])
        ended = worker.last(DONE)
        assert ended is not None
        took.append((ended - began).total_seconds() * 1000)
    app.close()
    return took
