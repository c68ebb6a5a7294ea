"""Rotations per second and CPU per rotation: the service, and bare scripts beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Protocol

from tests.bench.processes import usage_of
from tests.bench.scripts import Turn, scripts
from tests.bench.seed import seed
from tests.bench.stage import Shape, Stage, Worker, names, set_up

SERVICE, LIBRARIES, FLOOR, SEQUENTIAL = "service", "httpx_hvac", "http_client", "requests_hvac"
DONE = "rotation.succeeded"
TURNS = 4


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. ``latency_ms`` is that of the HostUp API; CPU is of the measured processes alone."""

    what: str
    latency_ms: int
    concurrency: int
    processes: int
    rotations: int
    seconds: float
    cpu: float
    memory: float = 0.0

    @property
    def rate(self) -> float:
        """Rotations per second."""
        return self.rotations / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds for one rotation."""
        return self.cpu * 1000 / self.rotations

    @property
    def bound(self) -> float | None:
        """What the API's latency allows at this concurrency."""
        return self.concurrency / (self.latency_ms / 1000) if self.latency_ms else None

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self) | {"rate": self.rate, "cpu_ms": self.cpu_ms, "bound": self.bound}


class Side(Protocol):
    """Who can rotate: scripts, or the service."""

    def rotate(self, rotations: int) -> Turn:
        """Do so many rotations."""
        ...


@dataclass(slots=True)
class _Service:
    """Workers on targets of which some are made due; from the first start of a rotation to the last end."""

    stage: Stage
    workers: list[Worker]
    left: list[str]

    def rotate(self, rotations: int) -> Turn:
        """Let so many targets be due, all at once."""
        due, self.left = self.left[:rotations], self.left[rotations:]
        pids = [worker.process.pid for worker in self.workers]
        for worker in self.workers:
            worker.forget()
        before = usage_of(pids)
        self.stage.let_go(due)
        self.stage.wait_for(DONE, len(due), self.workers)
        after = usage_of(pids)
        began = min(at for worker in self.workers if (at := worker.first("rotation.started")))
        ended = max(at for worker in self.workers if (at := worker.last(DONE)))
        return Turn(len(due), (ended - began).total_seconds(), after.cpu - before.cpu, after.memory)


def side_by_side(targets: int, concurrency: int, processes: int, latency_ms: int) -> Iterator[Run]:
    """The bare scripts and the service on the same servers, in turns of a part of the rotations each.

    A shared machine changes its speed by half within seconds: who works a minute after the other is measured on another
    machine. ``concurrency`` is that of all processes together.
    """
    with set_up(Shape(targets, concurrency // processes, processes)) as stage, ExitStack() as ends:
        seed(stage)
        stage.sandbox.simulator.admin.behave(latency_ms=latency_ms)
        sides: dict[str, Side] = {
            kind: ends.enter_context(scripts(stage, kind, concurrency, processes)) for kind in (LIBRARIES, FLOOR)
        }
        sides[SERVICE] = _start(stage)
        turns: dict[str, list[Turn]] = {kind: [] for kind in sides}
        for number in range(TURNS):
            for kind in sorted(sides, reverse=number % 2 == 1):  # nobody is always the first
                turns[kind].append(sides[kind].rotate(targets // TURNS))
        for kind, taken in turns.items():
            yield _run(kind, latency_ms, concurrency, processes, taken)


def _start(stage: Stage) -> _Service:
    stage.hold()
    workers = [stage.start(stage.shape.concurrency) for _ in range(stage.shape.processes)]
    stage.wait_for("worker.started", len(workers), workers)
    return _Service(stage, workers, names(stage.shape.targets))


def alone(kind: str, rotations: int, latency_ms: int) -> Run:
    """A script with one thread."""
    with set_up(Shape(1, 1), latency_ms=latency_ms) as stage, scripts(stage, kind, 1, 1) as side:
        return _run(kind, latency_ms, 1, 1, [side.rotate(rotations)])


def _run(kind: str, latency_ms: int, concurrency: int, processes: int, turns: Sequence[Turn]) -> Run:
    return Run(
        what=kind,
        latency_ms=latency_ms,
        concurrency=concurrency,
        processes=processes,
        rotations=sum(turn.rotations for turn in turns),
        seconds=sum(turn.seconds for turn in turns),
        cpu=sum(turn.cpu for turn in turns),
        memory=max(turn.memory for turn in turns),
    )
