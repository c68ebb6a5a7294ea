"""How long a rotation takes when the primary of a Sentinel set has just gone: killed, frozen, cut off.

The Sentinels are set to take a server for down after 1.5 s.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.stage import Shape, Stage, names, set_up
from tests.bench.throughput import DONE
from tests.sentinels import Blow, SentinelSet, sentinel_set

WITHIN = 30.0
"""Seconds, in which rotation has to go on."""

THREADS = 4
WHOLE_WITHIN = 120.0


@dataclass(frozen=True, slots=True)
class Failover:
    """Seconds from the blow until a rotation that is asked for right after it is done, each time."""

    blow: str
    seconds: tuple[float, ...]

    @property
    def is_too_slow(self) -> bool:
        """Whether one of them took longer than it may."""
        return max(self.seconds) > WITHIN

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self)


def failover(times: int) -> Iterator[Failover]:
    """Each blow so many times, on a set and with a worker of its own."""
    for blow in Blow:
        with set_up(Shape(1, THREADS, every="400d", grace="1s", tick="1s")) as stage:
            folder = stage.folder / "set"
            folder.mkdir()
            with sentinel_set(folder) as made:
                yield Failover(blow.value, tuple(_taken(stage, made, blow, times)))


def _taken(stage: Stage, made: SentinelSet, blow: Blow, times: int) -> Iterator[float]:
    environment = {"REDIS_URL": made.url(3).reveal(), "REDIS_URL_FILE": ""}
    worker = stage.start(THREADS, environment=environment)
    stage.wait_for(DONE, 1, [worker])
    for _ in range(times):
        node = made.primary()
        node.strike(blow)
        began = time.monotonic()
        _rotate(stage, environment)
        yield time.monotonic() - began
        node.mend()
        _until_whole(made)


def _rotate(stage: Stage, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "worker.cli", "rotate", *names(1), "--wait"]
    log = Path(stage.folder) / "rotate.log"
    with log.open("wb") as output:
        subprocess.run(command, env=stage.environment() | environment, stdout=output, stderr=output, check=True)


def _until_whole(made: SentinelSet) -> None:
    until = time.monotonic() + WHOLE_WITHIN
    while not made.is_whole():
        if time.monotonic() > until:
            raise TimeoutError("the set is not whole again")
        time.sleep(0.2)
