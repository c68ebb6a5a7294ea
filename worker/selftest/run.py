"""``rotator selftest``: the crash matrix in small, on this machine, against the sandbox, in less than a minute.

Real workers are killed, frozen and disturbed at steps of their work, others go on, and every promise is checked by
:mod:`worker.selftest.checker`. Each run draws other steps, so that many runs come to all of them; the seed repeats one.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.selftest import actions
from worker.selftest.script import Moment, Step
from worker.selftest.stand import Bench, start_bench
from worker.selftest.trials import Row, TrialResult, disturb, freeze, kill, rehearse, rows

BEGIN_WITHIN = 30.0
"""Seconds in which trials are begun; starting took some before, and the last ones take about ten more."""

LANES = 12
"""Trials at once: most of one is waiting for a lease or a grace period."""

Trial = Callable[[Bench, str, Row], TrialResult]


@dataclass(frozen=True, slots=True)
class Blow:
    """One way to strike: what it is called, and when it happens."""

    name: str
    moment: Moment
    trial: Trial


def _lost(bench: Bench, name: str, row: Row) -> TrialResult:
    return disturb(bench, name, row, actions.cut())


def _failing(bench: Bench, name: str, row: Row) -> TrialResult:
    error = actions.redis_error("ERR ordered by the trial") if row.step.service == "redis" else actions.answer(500)
    return disturb(bench, name, row, error)


BLOWS = (
    Blow("killed before", Moment.BEFORE, kill),
    Blow("killed after", Moment.AFTER, kill),
    Blow("killed answered", Moment.DELIVERED, kill),
    Blow("frozen before", Moment.BEFORE, freeze),
    Blow("frozen after", Moment.AFTER, freeze),
    Blow("answer lost", Moment.AFTER, _lost),
    Blow("answers 500", Moment.BEFORE, _failing),
)
"""Columns of the table."""

KINDS: tuple[tuple[str, str, str, str], ...] = (
    ("HostUp: create a key", "hostup", "POST", ""),
    ("HostUp: delete a key", "hostup", "DELETE", ""),
    ("Vault: the app's secret", "vault", "POST", "/data/{trial}/app"),
    ("Vault: the record", "vault", "POST", "/data/{trial}/state/{target}"),
    ("Vault: whose a key is", "vault", "POST", "/_keys/"),
    ("Vault: destroy an old version", "vault", "POST", "/destroy/"),
    ("Vault: archived history", "vault", "POST", "/_archive/"),
    ("HostUp: count keys", "hostup", "GET", ""),
    ("object storage: try a key", "s3", "GET", ""),
    ("Vault: read and log in", "vault", "", ""),
    ("Redis", "redis", "", ""),
)
"""Rows of the table, the gravest first: a step belongs to the first that fits its service, method and path."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A trial that was made: what was struck, how, and how it ended."""

    kind: str
    blow: str
    result: TrialResult


@dataclass(frozen=True, slots=True)
class SelfTestReport:
    """What a self-test found. ``steps`` is how many there are to strike at, of which each run draws some."""

    seed: int
    steps: int
    cells: tuple[Cell, ...]
    seconds: float

    @property
    def findings(self) -> tuple[str, ...]:
        """Every broken promise, with the trial that broke it."""
        return tuple(f"{c.blow}, {c.result.row}: {each}" for c in self.cells for each in c.result.findings)

    @property
    def exit_code(self) -> int:
        """0 if every promise was kept."""
        return 1 if self.findings else 0

    @property
    def summary(self) -> str:
        """One line."""
        broken = f"{len(self.findings)} findings" if self.findings else "every promise was kept"
        return f"{len(self.cells)} trials at {self.steps} steps in {self.seconds:.0f} s: {broken} (seed {self.seed})"

    def columns(self) -> tuple[str, ...]:
        """The headings of the table."""
        return ("", *(blow.name for blow in BLOWS))

    def lines(self) -> Iterator[tuple[str, ...]]:
        """The table: what was struck, and for each way how many trials went well."""
        for kind, *_ in KINDS:
            cells = [cell for cell in self.cells if cell.kind == kind]
            yield (kind, *(_shown([c.result for c in cells if c.blow == blow.name]) for blow in BLOWS))

    def document(self) -> dict[str, Any]:
        """All of it, for ``--json``."""
        trials = [
            {
                "struck": cell.kind,
                "how": cell.blow,
                "step": str(cell.result.row),
                "seconds": round(cell.result.seconds, 1),
                "findings": [str(finding) for finding in cell.result.findings],
            }
            for cell in self.cells
        ]
        seconds = round(self.seconds, 1)
        return {
            "seed": self.seed,
            "steps": self.steps,
            "seconds": seconds,
            "findings": list(self.findings),
            "trials": trials,
        }


def _shown(results: list[TrialResult]) -> str:
    broken = sum(bool(result.findings) for result in results)
    if broken:
        return f"{broken} of {len(results)} BROKEN"
    return f"{len(results)} ok" if results else "-"


def run_selftest(
    say: Callable[[str], None], *, seed: int | None = None, folder: Path | None = None, within: float = BEGIN_WITHIN
) -> SelfTestReport:
    """Run it, from the main thread; ``say`` gets its progress. With ``folder`` the workers' logs are kept there.

    ``within`` is for how many seconds trials are begun; each lane makes one at least.

    Raises ConfigurationError when the servers are not installed, RotatorError when they do not start, and Stuck when
    not even an undisturbed worker gets through.
    """
    began = time.monotonic()
    chosen = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    with (
        tempfile.TemporaryDirectory(prefix="rotator-selftest-") as temporary,
        start_bench(folder or Path(temporary)) as bench,
    ):
        say("Vault, Valkey and HostUp (simulated) run; a worker shows its steps")
        matrix = rows(rehearse(bench, "rehearsal"))
        steps = len({row.step for row in matrix})
        say(f"{steps} steps; workers are killed, frozen and disturbed at some of them")
        cells = _play(bench, _draw(matrix, chosen), time.monotonic() + within)
    return SelfTestReport(chosen, steps, cells, time.monotonic() - began)


def _draw(matrix: tuple[Row, ...], seed: int) -> Iterator[tuple[str, Blow, Row]]:
    """One trial after the other: for each cell of the table one, the gravest rows first, then further ones."""
    dice = random.Random(seed)  # noqa: S311 - which steps are tried is no secret
    piles: dict[tuple[str, Blow], list[Row]] = {}
    for kind, *_ in KINDS:
        for blow in BLOWS:
            pile = [row for row in matrix if row.moment is blow.moment and _kind(row.step) == kind]
            piles[kind, blow] = dice.sample(pile, len(pile))
    while any(piles.values()):
        for (kind, blow), pile in piles.items():
            if pile:
                yield kind, blow, pile.pop()


def _kind(step: Step) -> str:
    return next(
        kind
        for kind, service, method, part in KINDS
        if service == step.service and method in ("", step.method) and part in step.path
    )


def _play(bench: Bench, trials: Iterable[tuple[str, Blow, Row]], until: float) -> tuple[Cell, ...]:
    def play(number: int, kind: str, blow: Blow, row: Row) -> Cell | None:
        if number > LANES and time.monotonic() > until:
            return None
        return Cell(kind, blow.name, blow.trial(bench, f"trial-{number}", row))

    with ThreadPoolExecutor(LANES) as lanes:
        played = [lanes.submit(play, number, *trial) for number, trial in enumerate(trials, 1)]
        return tuple(cell for each in played if (cell := each.result()) is not None)
