"""``make bench``: what a rotation costs, beside what it cannot cost less than. Tables, a plot, a JSON file.

HostUp is the simulator, in a process of its own; Vault and Valkey are real. Give it a quiet machine: it shares the
cores with all that it measures. ``--smoke`` does everything on a small scale, to see that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console

from tests.bench import plot, report
from tests.bench.commands import commands
from tests.bench.day import day
from tests.bench.extras import extras
from tests.bench.failover import failover
from tests.bench.helpers import helpers
from tests.bench.idle import quiet
from tests.bench.instructions import instructions
from tests.bench.many import many, refill
from tests.bench.memory import memory
from tests.bench.metrics import metrics
from tests.bench.stage import utc
from tests.bench.steps import profile
from tests.bench.throughput import SEQUENTIAL, Run, alone, side_by_side
from tests.bench.watching import watching

PARTS = (
    "commands",
    "helpers",
    "instructions",
    "profile",
    "quiet",
    "throughput",
    "watching",
    "metrics",
    "extras",
    "failover",
    "many",
    "refill",
    "memory",
)
LONG = ("day",)
"""More than an hour: only where it is named."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    targets: int = 2_000
    sequential: int = 100
    concurrency: tuple[int, ...] = (8, 32, 64)
    processes: tuple[int, ...] = (1, 2)
    latencies: tuple[int, ...] = (300, 0)
    many: tuple[int, ...] = (100, 10_000, 100_000)
    records: int = 10_000
    memory: int = 10_000
    day: int = 500_000
    profile: int = 300
    looks: int = 300
    watched: int = 2_000
    scraped: int = 10_000
    extras: int = 100
    turns: int = 10
    blows: int = 3
    instructions: int = 20
    quiet: int = 50
    idle_seconds: float = 30.0


SMOKE = Scale(
    targets=48,
    sequential=4,
    concurrency=(8,),
    latencies=(50, 0),
    many=(10, 1_000),
    records=100,
    memory=400,
    day=800,
    profile=20,
    looks=20,
    watched=40,
    scraped=100,
    extras=5,
    turns=1,
    blows=1,
    instructions=3,
    quiet=5,
    idle_seconds=3.0,
)


class Bench:
    """Runs the parts and gathers what they found."""

    def __init__(self, scale: Scale, console: Console) -> None:
        self._scale = scale
        self._console = console
        self.found: dict[str, Any] = {}
        self.charts: list[plot.Chart] = []
        self.too_slow: list[str] = []

    def run(self, part: str) -> None:
        """Measure one part and show it."""
        self._console.print(f"measuring: {part}", style="dim")
        getattr(self, f"_{part}")()

    def _commands(self) -> None:
        found = commands()
        report.commands(self._console, found)
        self.found["commands"] = [each.document() for each in found]

    def _helpers(self) -> None:
        found = helpers()
        report.commands(self._console, found)
        self.found["helpers"] = [each.document() for each in found]
        self.too_slow += [each.words for each in found if each.is_too_slow]

    def _instructions(self) -> None:
        found = instructions(self._scale.instructions)
        report.instructions(self._console, found)
        self.found["instructions"] = found.document()

    def _profile(self) -> None:
        found = profile(self._scale.profile)
        report.profile(self._console, found)
        self.found["profile"] = found.document()

    def _quiet(self) -> None:
        found = quiet(self._scale.quiet, self._scale.idle_seconds)
        report.quiet(self._console, found)
        self.found["quiet"] = found.document()

    def _throughput(self) -> None:
        runs = []
        for run in _runs(self._scale):
            self._console.print(f"  {report.TOLD[run.what]}: {run.rate:.1f}/s, {run.cpu_ms:.2f} ms", style="dim")
            runs.append(run)
        report.throughput(self._console, runs)
        self.found["throughput"] = [run.document() for run in runs]
        self.charts += report.charts(runs)

    def _watching(self) -> None:
        found = watching(self._scale.looks, self._scale.watched)
        report.watching(self._console, found)
        self.found["watching"] = found.document()

    def _metrics(self) -> None:
        found = metrics(self._scale.scraped)
        report.metrics(self._console, found)
        self.found["metrics"] = [each.document() for each in found]

    def _extras(self) -> None:
        found = extras(self._scale.extras, self._scale.turns)
        report.extras(self._console, found)
        self.found["extras"] = [each.document() for each in found]

    def _failover(self) -> None:
        found = list(failover(self._scale.blows))
        report.failover(self._console, found)
        self.found["failover"] = [each.document() for each in found]
        self.too_slow += [f"a rotation after the primary was {each.blow}" for each in found if each.is_too_slow]

    def _many(self) -> None:
        found = [many(targets) for targets in self._scale.many]
        report.many(self._console, found)
        self.found["many"] = [each.document() for each in found]

    def _refill(self) -> None:
        found = refill(self._scale.records)
        report.refill(self._console, found)
        self.found["refill"] = found.document()

    def _memory(self) -> None:
        found = memory(self._scale.memory)
        report.memory(self._console, found)
        self.charts += report.memory_charts(found)
        self.found["memory"] = found.document()

    def _day(self) -> None:
        found = []
        for sample in day(self._scale.day):
            self._console.print(f"  {sample.looks:,} looks", style="dim")
            found.append(sample)
        report.day(self._console, found)
        self.charts += report.day_charts(found)
        self.found["day"] = [each.document() for each in found]


def _runs(scale: Scale) -> Iterator[Run]:
    """Every measurement of throughput."""
    for latency in scale.latencies:
        yield alone(SEQUENTIAL, scale.sequential, latency)
        for threads, processes in product(scale.concurrency, scale.processes):
            yield from side_by_side(scale.targets, threads, processes, latency)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, show, write. The exit code is 1 where something took longer than it may."""
    options = _parser().parse_args(arguments)
    scale = SMOKE if options.smoke else Scale(targets=options.targets)
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    bench = Bench(scale, console)
    for part in options.part or (PARTS + LONG if options.smoke else PARTS):
        bench.run(part)
    _write(bench, options.output)
    console.print(f"written: {options.output}/bench.json" + (f", {options.output}/bench.svg" if bench.charts else ""))
    for words in bench.too_slow:
        console.print(f"took longer than it may: {words}")
    return 1 if bench.too_slow else 0


def _write(bench: Bench, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    machine = {"at": utc().isoformat(), "cores": os.cpu_count(), "python": platform.python_version()}
    text = json.dumps({"machine": machine | {"load": os.getloadavg()}, **bench.found}, indent=2)
    (folder / "bench.json").write_text(text + "\n", "utf-8")
    if bench.charts:
        plot.draw(bench.charts, folder / "bench.svg")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What a rotation costs.")
    parser.add_argument("--smoke", action="store_true", help="everything on a small scale")
    parser.add_argument(
        "--targets", type=int, default=Scale().targets, help="how many are due, a quarter of them at once"
    )
    parser.add_argument("--part", action="append", choices=PARTS + LONG, help="only this; may be repeated")
    parser.add_argument("--output", type=Path, default=Path(".bench"), help="the folder for JSON file and plot")
    return parser


if __name__ == "__main__":
    sys.exit(main())
