"""Many targets: what a tick, a start, a lost Redis and a look at the state cost."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass

from tests.bench.commands import Command, timed
from tests.bench.parts import runtime_of, send_nothing
from tests.bench.processes import usage
from tests.bench.seed import seed
from tests.bench.stage import Shape, Stage, Worker, names, path_of, set_up, utc, wait_until
from worker.adapters.redis.index import IndexEntry
from worker.adapters.redis.keys import SUMMARY
from worker.rotation.decide import Wait
from worker.rotation.record import Record
from worker.rotation.status import summarize
from worker.sandbox.texts import MOUNT, STATE_PATH
from worker.service.assemble import Runtime
from worker.service.tick import rebuild, tick

TICKS = 50


@dataclass(frozen=True, slots=True)
class Many:
    """Of so many targets: CPU milliseconds of a tick, and seconds of everything else."""

    targets: int
    tick_cpu_ms: float
    tick_ms: float
    load_seconds: float
    rebuild_seconds: float
    start_seconds: float
    start_memory: float
    commands: tuple[Command, ...]

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Refill:
    """After FLUSHALL: how long until every target was looked at and stands in the index again."""

    targets: int
    seconds: float
    cpu: float

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self) | {"looks_per_second": self.targets / self.seconds}


def many(targets: int) -> Many:
    """Everything but real records: ticks with nothing due, a start, the due set made anew, the commands."""
    with set_up(Shape(targets, 8)) as stage:
        known = _one_record(stage)
        began = time.monotonic()
        with runtime_of(stage) as runtime:
            loaded = time.monotonic() - began
            began = time.monotonic()
            rebuild(runtime)
            rebuilt = time.monotonic() - began
            stage.hold()
            tick_cpu, tick_wall = _ticks(runtime)
        _fill_index(stage, known)
        began = time.monotonic()
        worker = stage.start(8)
        stage.wait_for("index.rebuilt", 1, [worker])
        started = time.monotonic() - began
        memory = usage(worker.process.pid).memory
        worker.stop()
        first = names(1)[0]
        commands = tuple(
            timed(stage.environment(), *words)
            for words in (("status", "--json"), ("status", first, "--json"), ("trace", known, "--json"))
        )
    return Many(targets, tick_cpu, tick_wall, loaded, rebuilt, started, memory, commands)


def refill(targets: int) -> Refill:
    """Real records, none of them due, and a Redis that knows nothing."""
    with set_up(Shape(targets, 8, every="400d")) as stage:
        seed(stage, keys=False)
        worker = stage.start(8)
        stage.wait_for("index.rebuilt", 1, [worker])
        began, before = time.monotonic(), usage(worker.process.pid)
        _until_indexed(stage, worker)
        seconds = time.monotonic() - began
        return Refill(targets, seconds, usage(worker.process.pid).cpu - before.cpu)


def _until_indexed(stage: Stage, worker: Worker) -> None:
    client = stage.shared().client
    wait_until(lambda: int(client.hlen(SUMMARY)) >= stage.shape.targets, "an index of all targets", [worker])


def _ticks(runtime: Runtime) -> tuple[float, float]:
    tick(runtime, send_nothing)
    cpu, wall = [], []
    for _ in range(TICKS):
        began, used = time.monotonic(), time.thread_time()
        tick(runtime, send_nothing)
        cpu.append(time.thread_time() - used)
        wall.append(time.monotonic() - began)
    return statistics.median(cpu) * 1000, statistics.median(wall) * 1000


def _one_record(stage: Stage) -> str:
    """The first target has lived, the others are only configured; an id of its history."""
    assert stage.sandbox.vault is not None
    seed(Stage(stage.sandbox, Shape(1, 1)), keys=False)
    path = f"{MOUNT}/data/{STATE_PATH}/{names(1)[0]}"
    history = stage.sandbox.vault.admin.call("GET", path)["data"]["data"]["history"]
    return str(json.loads(history[-1])["rotation_id"])


def _fill_index(stage: Stage, known: str) -> None:
    now = utc()
    first = names(1)[0]
    wait = Wait(now, "the bench")
    records = (Record(target=name, path=path_of(name)) for name in names(stage.shape.targets))
    stage.shared().index.refresh(
        IndexEntry(record.target, summarize(record, now, wait), (known,) if record.target == first else ())
        for record in records
    )
