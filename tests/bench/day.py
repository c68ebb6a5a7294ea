"""A day without its pauses: what a worker and Redis hold over half a million looks at keys.

3,500 targets that are watched every ten minutes have as many looks in 24 hours, and 120 rotations where each is due
every thirty days. Here fewer targets are due for both all the time, and rotations are many times as frequent.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial

from prometheus_client.parser import text_string_to_metric_families

from tests.bench.memory import Sample, held
from tests.bench.processes import usage
from tests.bench.seed import seed
from tests.bench.stage import Shape, set_up, wait_until
from tests.bench.throughput import DONE
from tests.servers import free_port

CONCURRENCY = 32
"""A quarter of the threads watches."""

TARGETS = 400
SAMPLES = 20
STUCK = 6 * 3600.0
"""Seconds; a loaded machine has some 10 looks in one."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is held after so many looks, and the CPU seconds that the worker has taken for them."""

    looks: int
    cpu: float
    held: Sample

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return {"looks": self.looks, "cpu": self.cpu, **asdict(self.held)}


def day(looks: int) -> Iterator[Look]:
    """One worker, with metrics on, until it has looked so often; a sample at each twentieth, as soon as it is there."""
    port = free_port()
    shape = Shape(
        TARGETS, CONCURRENCY, every="10m", grace="1m", watch_every="1s", audit_every="1m", metrics=f"127.0.0.1:{port}"
    )
    with set_up(shape) as stage:
        seed(stage)
        worker = stage.start(CONCURRENCY)
        stage.wait_for(DONE, 1, [worker])
        for part in range(SAMPLES + 1):
            wanted = looks * part // SAMPLES
            wait_until(partial(_have_come, port, wanted), f"{wanted} looks", [worker], STUCK, 1.0)
            yield Look(_looks(port), usage(worker.process.pid).cpu, held(stage, worker))


def _have_come(port: int, wanted: int) -> bool:
    return _looks(port) >= wanted


def _looks(port: int) -> int:
    """Signed calls to the storage: each is a look at a key, at a new one, one in use, or one that has to be dead."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    samples = (each for family in text_string_to_metric_families(text) for each in family.samples)
    return round(
        sum(
            each.value
            for each in samples
            if each.name == "rotator_api_requests_total" and each.labels["service"] == "storage"
        )
    )
