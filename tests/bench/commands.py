"""How long a command takes from its start to its end."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.seed import seed
from tests.bench.stage import Shape, names, set_up

TIMES = 9


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its milliseconds (median, and the quickest, which tells of the command more than of the machine).

    ``limit_ms`` is what the quickest may take.
    """

    words: str
    ms: float
    quickest_ms: float
    cpu_ms: float
    limit_ms: float | None = None

    @property
    def is_too_slow(self) -> bool:
        """Whether it took longer than it may."""
        return self.limit_ms is not None and self.quickest_ms > self.limit_ms

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self)


def commands(times: int = TIMES) -> tuple[Command, ...]:
    """Those that people type."""
    with set_up(Shape(3, 8)) as stage:
        seed(stage)
        environment = stage.environment()
        every = (["--version"], ["--help"], ["status", names(1)[0]], ["status"], ["history", names(1)[0]])
        return tuple(timed(environment, *words, times=times) for words in every)


def timed(
    environment: Mapping[str, str], *words: str, program: Sequence[str] | None = None, times: int = TIMES
) -> Command:
    """Run a command so often; the first run, which compiles modules, does not count. Raises RuntimeError.

    ``program`` is another one than the package's ``rotator``.
    """
    took, used = [], []
    command = [*(program or [str(Path(sys.executable).with_name("rotator"))]), *words]
    for _ in range(times + 1):
        before, began = os.times(), time.monotonic()
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
        took.append(time.monotonic() - began)
        after = os.times()
        used.append(after.children_user + after.children_system - before.children_user - before.children_system)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:]}")
    median, quickest = statistics.median(took[1:]), min(took[1:])
    said = " ".join([Path(command[1]).name, *words] if program and len(program) > 1 else words)
    return Command(said, median * 1000, quickest * 1000, statistics.median(used[1:]) * 1000)
