"""What was measured, as tables on the screen."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from tests.bench.commands import Command
from tests.bench.day import Look
from tests.bench.extras import Extra
from tests.bench.failover import Failover
from tests.bench.idle import Quiet
from tests.bench.instructions import Instructions
from tests.bench.many import Many, Refill
from tests.bench.memory import Memory, Sample
from tests.bench.metrics import Scrape
from tests.bench.plot import Chart
from tests.bench.steps import Profile
from tests.bench.throughput import FLOOR, LIBRARIES, SEQUENTIAL, SERVICE, Run
from tests.bench.watching import Watching

HELD = ("rotations", "MiB", "threads", "files", "keys in Redis", "Redis, MiB")
CHARTED = ("memory of a worker", "open files of a worker", "keys in Redis", "memory of Redis")

TOLD = {
    SERVICE: "the service",
    LIBRARIES: "bare, httpx and hvac",
    FLOOR: "bare, http.client",
    SEQUENTIAL: "one after the other",
}
SMALLEST_SHARE = 0.01


def table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print one table; all columns but the first are numbers."""
    drawn = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="right" if number else "left")
    for row in rows:
        drawn.add_row(*row)
    console.print(drawn)


def throughput(console: Console, runs: Sequence[Run]) -> None:
    """The service beside the bound and the bare scripts; ratios are to the bare script with the same libraries."""
    columns = ("", "API ms", "threads", "processes", "rotations/s", "of bare", "bound", "CPU ms", "of bare", "MiB")
    table(console, "Rotations", columns, (_row(run, _beside(runs, run)) for run in runs))


def _beside(runs: Sequence[Run], run: Run) -> Run | None:
    wanted = (run.latency_ms, run.concurrency, run.processes)
    found = (r for r in runs if r.what == LIBRARIES and (r.latency_ms, r.concurrency, r.processes) == wanted)
    return next(found, None)


def _row(run: Run, bare: Run | None) -> tuple[str, ...]:
    return (
        TOLD[run.what],
        str(run.latency_ms),
        str(run.concurrency),
        str(run.processes),
        f"{run.rate:.1f}",
        f"{run.rate / bare.rate:.2f}" if bare else "",
        f"{run.bound:.0f}" if run.bound else "",
        f"{run.cpu_ms:.2f}",
        f"{run.cpu_ms / bare.cpu_ms:.2f}" if bare else "",
        f"{run.memory:.0f}" if run.memory else "",
    )


def quiet(console: Console, found: Quiet) -> None:
    """One rotation on an idle system."""
    rows = [
        ("message to published, median", f"{found.median_ms:.1f} ms"),
        ("the same, worst", f"{found.worst_ms:.1f} ms"),
        ("the bare calls alone", f"{found.bare_ms:.1f} ms"),
        ("added by the service", f"{found.overhead_ms:.1f} ms"),
        ("idle CPU", f"{found.idle_percent:.2f} %"),
        ("idle memory", f"{found.idle_memory:.0f} MiB"),
    ]
    table(console, f"One rotation on an idle system ({found.rotations} times)", ("", ""), rows)


def many(console: Console, found: Sequence[Many]) -> None:
    """What the number of targets costs."""
    columns = ("", *(f"{each.targets:,}" for each in found))
    rows = [
        ("tick with nothing due, CPU ms", *(f"{each.tick_cpu_ms:.2f}" for each in found)),
        ("tick with nothing due, ms", *(f"{each.tick_ms:.2f}" for each in found)),
        ("configuration read, s", *(f"{each.load_seconds:.2f}" for each in found)),
        ("due set made anew after FLUSHALL, s", *(f"{each.rebuild_seconds:.2f}" for each in found)),
        ("worker started, s", *(f"{each.start_seconds:.2f}" for each in found)),
        ("worker's memory then, MiB", *(f"{each.start_memory:.0f}" for each in found)),
    ]
    for place in range(len(found[0].commands)):
        same = [each.commands[place] for each in found]
        rows.append(
            (
                f"rotator {same[0].words}, s (quickest)",
                *(f"{command.ms / 1000:.2f} ({command.quickest_ms / 1000:.2f})" for command in same),
            )
        )
    table(console, "Many targets", columns, rows)


def refill(console: Console, found: Refill) -> None:
    """Redis lost."""
    rows = [
        ("index of all targets there again, s", f"{found.seconds:.1f}"),
        ("targets per second", f"{found.targets / found.seconds:.0f}"),
        ("CPU ms for a target", f"{found.cpu * 1000 / found.targets:.2f}"),
    ]
    table(console, f"After FLUSHALL, {found.targets:,} targets with records", ("", ""), rows)


def commands(console: Console, found: Sequence[Command]) -> None:
    """How fast commands are."""
    rows = (
        (f"rotator {each.words}", f"{each.ms:.0f}", f"{each.quickest_ms:.0f}", f"{each.cpu_ms:.0f}", _limit(each))
        for each in found
    )
    table(console, "Commands", ("", "ms", "quickest", "CPU ms", "may take"), rows)


def _limit(command: Command) -> str:
    if command.limit_ms is None:
        return ""
    return f"{command.limit_ms:.0f}" + (" TOO SLOW" if command.is_too_slow else "")


def watching(console: Console, found: Watching) -> None:
    """What the watch costs."""
    by_call = sorted(found.calls.items(), key=lambda pair: -pair[1][1])
    rows = [(name, f"{times:g}", f"{ms:.2f}") for name, (times, ms) in by_call]
    title = f"CPU of a look at a healthy target in one thread: {found.cpu_ms:.2f} ms"
    table(console, f"{title}, by call", ("", "times", "CPU ms"), rows)
    paces = [
        (
            f"{each.targets:,} targets, storage {each.s3_latency_ms} ms, {each.threads} threads watch",
            f"{each.rate:.0f}",
            f"{each.cpu * 1000 / each.targets:.1f}",
        )
        for each in found.paces
    ]
    table(console, "A worker that only watches", ("", "looks/s", "CPU ms"), paces)
    computed = found.per_hour(10_000, 600.0)
    counts = [(name, f"{number:,.0f}") for name, number in computed.items()]
    table(console, "10,000 targets, watch_every 10m, in an hour (computed)", ("", ""), counts)


def metrics(console: Console, found: Sequence[Scrape]) -> None:
    """What a scrape costs."""
    rows = [
        (f"{each.shown}, {each.lines:,} lines, {each.megabytes:.1f} MB", f"{each.seconds:.2f}", f"{each.cpu:.2f}")
        for each in found
    ]
    table(console, f"A scrape of {found[0].targets:,} targets, by metrics.targets", ("", "s", "CPU s"), rows)


def memory(console: Console, found: Memory) -> None:
    """Whether memory is flat."""
    title = f"What is held at concurrency {found.concurrency}"
    table(console, title, HELD, [_held(each) for each in found.samples])


def memory_charts(found: Memory) -> list[Chart]:
    """The same as pictures: flat is how they should be."""
    groups = [f"{each.rotations / 1000:.3g}k" for each in found.samples]
    return [_chart(name, groups, found.samples) for name in CHARTED]


def day(console: Console, found: Sequence[Look]) -> None:
    """What is held over many looks."""
    rows = [(f"{each.looks:,}", f"{each.cpu:.0f}", *_held(each.held)) for each in found]
    table(console, "What is held over a day's looks", ("looks", "CPU s", *HELD), rows)


def day_charts(found: Sequence[Look]) -> list[Chart]:
    """The same as pictures: flat is how they should be."""
    groups = [f"{each.looks / 1000:.0f}" if not place % 4 else "" for place, each in enumerate(found)]
    samples = [each.held for each in found]
    return [_chart(name, groups, samples, ", by 1,000 looks") for name in (*CHARTED, "threads of a worker")]


def _held(sample: Sample) -> tuple[str, ...]:
    """What :data:`HELD` names."""
    worker = (f"{sample.rotations:,}", f"{sample.memory:.1f}", f"{sample.threads}", f"{sample.files}")
    return (*worker, f"{sample.redis_keys}", f"{sample.redis_memory:.2f}")


def _chart(name: str, groups: Sequence[str], samples: Sequence[Sample], by: str = "") -> Chart:
    values: dict[str, Sequence[float]] = {
        "memory of a worker": [each.memory for each in samples],
        "threads of a worker": [each.threads for each in samples],
        "open files of a worker": [each.files for each in samples],
        "keys in Redis": [each.redis_keys for each in samples],
        "memory of Redis": [each.redis_memory for each in samples],
    }
    unit = "MiB" if name.startswith("memory") else "number"
    return Chart(f"{name}{by}", unit, groups, ("worker",), [[value] for value in values[name]])


def extras(console: Console, found: Sequence[Extra]) -> None:
    """What each costs beside a worker with none of them, the first."""
    rows = [
        (
            each.name,
            f"{statistics.median(each.turns):.2f}",
            f"{each.more:+.1%}",
            f"{min(each.turns):.2f} to {max(each.turns):.2f}",
        )
        for each in found
    ]
    columns = ("", "CPU ms, median", "beside the first in its round, median", "turns")
    table(console, f"What comes on top of a rotation, {len(found[0].turns)} rounds", columns, rows)


def failover(console: Console, found: Sequence[Failover]) -> None:
    """How soon rotation goes on."""
    rows = [(each.blow, "  ".join(f"{taken:.1f}" for taken in each.seconds)) for each in found]
    table(console, "From a primary's end until a rotation is done", ("the primary is", "s, each time"), rows)


def profile(console: Console, found: Profile) -> None:
    """Where the CPU of a rotation goes."""
    by_call = sorted(found.calls.items(), key=lambda pair: -pair[1][1])
    rows = ((name, f"{times:g}", f"{ms:.2f}") for name, (times, ms) in by_call)
    title = f"CPU of a rotation in one thread: {found.cpu_ms:.2f} ms"
    table(console, f"{title}, by call", ("", "times", "CPU ms"), rows)
    large = ((name, ms) for name, ms in found.libraries.items() if ms >= SMALLEST_SHARE * found.cpu_ms)
    shares = ((name, f"{ms:.2f}", f"{ms / found.cpu_ms:.0%}") for name, ms in large)
    table(console, f"{title}, by library", ("", "CPU ms", "share"), shares)


def instructions(console: Console, found: Instructions) -> None:
    """Python's instructions, by library and beside the bare scripts."""
    rows = [("the service's parts", f"{found.total:,.0f}", f"{found.ratio(LIBRARIES):.2f}")]
    rows += [
        (TOLD[kind], f"{count:,.0f}", f"{count / found.bare[LIBRARIES]:.2f}") for kind, count in found.bare.items()
    ]
    table(console, "Python's instructions for a rotation", ("", "instructions", "of bare"), rows)
    large = [(name, count) for name, count in found.service.items() if count >= SMALLEST_SHARE * found.total]
    shares = ((name, f"{count:,.0f}", f"{count / found.total:.0%}") for name, count in large)
    table(console, "Those of the service's parts, by library", ("", "instructions", "share"), shares)


def charts(runs: Sequence[Run]) -> list[Chart]:
    """Rates and CPU for each latency and number of processes."""
    kinds = (SERVICE, LIBRARIES, FLOOR)
    found = []
    for latency, processes in sorted({(run.latency_ms, run.processes) for run in runs if run.what != SEQUENTIAL}):
        some = [run for run in runs if (run.latency_ms, run.processes) == (latency, processes) and run.what in kinds]
        threads = sorted({run.concurrency for run in some})
        about = f"API {latency} ms, {processes} process{'es' if processes > 1 else ''}"
        rates = [[_value(some, kind, count, "rate") for kind in kinds] for count in threads]
        costs = [[_value(some, kind, count, "cpu_ms") for kind in kinds] for count in threads]
        groups, series = [f"{count} threads" for count in threads], [TOLD[kind] for kind in kinds]
        found.append(Chart(about, "rotations per second", groups, series, rates))
        found.append(Chart(about, "CPU ms per rotation", groups, series, costs))
    return found


def _value(runs: Sequence[Run], kind: str, threads: int, name: str) -> float | None:
    hit = next((run for run in runs if (run.what, run.concurrency) == (kind, threads)), None)
    return None if hit is None else float(getattr(hit, name))
