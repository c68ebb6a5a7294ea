"""What a worker, and Redis, hold over many rotations, with watches, deletes and proofs of death among them.

A day of 100 targets that are watched every ten minutes has some 15,000 looks; here they come without a pause.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tests.bench.processes import open_files, usage
from tests.bench.seed import seed
from tests.bench.stage import Shape, Stage, Worker, set_up
from tests.bench.throughput import DONE

CONCURRENCY = 32
TARGETS = 200
SAMPLES = 10


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory in MiB after so many rotations, threads and open files of the worker; keys and memory of Redis."""

    rotations: int
    memory: float
    threads: int
    files: int
    redis_keys: int
    redis_memory: float


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
    shape = Shape(TARGETS, CONCURRENCY, every="2s", grace="1s", watch_every="5s", audit_every="10s")
    with set_up(shape) as stage:
        seed(stage)
        worker = stage.start(CONCURRENCY)
        for part in range(1, SAMPLES + 1):
            stage.wait_for(DONE, rotations * part // SAMPLES, [worker])
            samples.append(held(stage, worker))
    return Memory(CONCURRENCY, tuple(samples))


def held(stage: Stage, worker: Worker) -> Sample:
    """What there is now."""
    pid, client = worker.process.pid, stage.shared().client
    used = usage(pid)
    keys, redis_bytes = int(client.dbsize()), int(client.info("memory")["used_memory"])
    client.close()
    return Sample(worker.count(DONE), used.memory, used.threads, open_files(pid), keys, redis_bytes / 1024**2)
