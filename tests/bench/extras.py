"""What metrics, notices and telemetry cost: the same worker without and with each of them, in turns.

The machine's speed changes by half within seconds, so each has many short turns, and is compared with the turn of its
round that has nothing of it. A scrape is no part of it: what that costs depends on the number of targets alone.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from tests.bench.processes import usage
from tests.bench.seed import seed
from tests.bench.stage import Shape, Stage, Worker, names, set_up
from tests.bench.throughput import DONE
from tests.wire import Wire, answer

THREADS = 8
LATER = 1.0
"""Seconds for what is handed on after a rotation; all kinds have them."""

NOTHING = "nothing of it"


@dataclass(frozen=True, slots=True)
class Kind:
    """How a worker is set up: what its configuration and its environment have besides."""

    name: str
    settings: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Extra:
    """CPU milliseconds for one rotation in each turn; ``more``: by which part of it that is more, in the median."""

    name: str
    turns: tuple[float, ...]
    more: float

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self)


def extras(rotations: int, turns: int) -> tuple[Extra, ...]:
    """Each kind, with so many rotations in each of its turns."""
    with Wire(answer(200, b"{}")) as receiver:
        kinds = tuple(_kinds(receiver.url))
        with set_up(Shape(rotations * turns * len(kinds), THREADS, tick="1s")) as stage:
            seed(stage)
            stage.hold()
            left = iter(names(stage.shape.targets))
            taken: dict[str, list[float]] = {kind.name: [] for kind in kinds}
            for number in range(turns):
                for kind in kinds if number % 2 else kinds[::-1]:  # nobody is always the first
                    due = [next(left) for _ in range(rotations)]
                    taken[kind.name].append(_turn(stage, kind, due))
    return tuple(Extra(name, tuple(each), _more(each, taken[NOTHING])) for name, each in taken.items())


def _more(turns: Sequence[float], without: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(turns, without, strict=True)) - 1


def _kinds(receiver: str) -> Iterator[Kind]:
    hook = f'[[notify]]\nname = "hook"\nkind = "webhook"\nurl = "{receiver}/hook"\n'
    yield Kind(NOTHING)
    yield Kind("metrics", '[metrics]\nlisten = "127.0.0.1:0"\n')
    yield Kind("notices of troubles", hook)
    yield Kind("published by a webhook", f'{hook}events = ["published"]\n')
    yield Kind("traces by OTLP", environment={"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver}/v1/traces"})


def _turn(stage: Stage, kind: Kind, due: list[str]) -> float:
    with _worker(stage, kind) as worker:
        before = usage(worker.process.pid).cpu
        stage.let_go(due)
        stage.wait_for(DONE, len(due), [worker])
        time.sleep(LATER)
        return (usage(worker.process.pid).cpu - before) * 1000 / len(due)


@contextmanager
def _worker(stage: Stage, kind: Kind) -> Iterator[Worker]:
    config = stage.folder / "extra.toml"
    config.write_text((stage.folder / "rotator.toml").read_text("utf-8") + kind.settings, "utf-8")
    worker = stage.start(THREADS, environment={"ROTATOR_CONFIG": str(config), **kind.environment})
    try:
        stage.wait_for("worker.started", 1, [worker])
        yield worker
    finally:
        worker.stop()
        stage.workers.remove(worker)
