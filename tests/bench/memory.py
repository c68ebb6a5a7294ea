"""A worker's memory over many rotations, with deletes and proofs of death among them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tests.bench.processes import usage
from tests.bench.seed import seed
from tests.bench.stage import Shape, set_up
from tests.bench.throughput import DONE

CONCURRENCY = 32
TARGETS = 200
SAMPLES = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory in MiB after so many rotations."""

    rotations: int
    memory: float


@dataclass(frozen=True, slots=True)
class Memory:
    """All samples of one worker."""

    concurrency: int
    samples: tuple[Sample, ...]

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self)


def memory(rotations: int) -> Memory:
    """Targets that are due again and again; a sample at every tenth of the way."""
    samples = []
    shape = Shape(TARGETS, CONCURRENCY, every="2s", grace="1s")
    with set_up(shape) as stage:
        seed(stage)
        worker = stage.start(CONCURRENCY)
        for part in range(1, SAMPLES + 1):
            stage.wait_for(DONE, rotations * part // SAMPLES, [worker])
            samples.append(Sample(worker.count(DONE), usage(worker.process.pid).memory))
    return Memory(CONCURRENCY, tuple(samples))
