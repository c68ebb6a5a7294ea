"""How many of Python's instructions a rotation takes, in one thread: the same on a busy machine as on a quiet one.

What C code does is not seen, so it is no measure of time; but what is compared here runs on the same servers and
interpreter, and differs by the Python code around the calls.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from tests.bench.bare import KINDS, rotate
from tests.bench.parts import runtime_of
from tests.bench.scripts import job_of
from tests.bench.seed import seed
from tests.bench.stage import Shape, Stage, names, set_up
from worker.service.look import look_while_due

_PACKAGE = re.compile(r"site-packages/(\w+)")
_OURS = re.compile(r"/(worker)/\w+")


@dataclass(frozen=True, slots=True)
class Instructions:
    """For one rotation: of the service's parts (without Celery), by library; and of the bare scripts, by kind."""

    service: dict[str, float]
    bare: dict[str, float]

    @property
    def total(self) -> float:
        """Of the service's parts together."""
        return sum(self.service.values())

    def ratio(self, kind: str) -> float:
        """How many times as many as the bare script of this kind."""
        return self.total / self.bare[kind]

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return {"service": self.service, "bare": self.bare, "total": self.total}


class Counting:
    """Counts the instructions of this thread while it is the trace function."""

    def __init__(self) -> None:
        self.by_file: Counter[str] = Counter()

    def run(self, work: Callable[[], object]) -> Counter[str]:
        """Do the work, and tell how many instructions each file took."""
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            work()
        finally:
            sys.settrace(before)
        return self.by_file

    def _trace(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
        if event == "opcode":
            self.by_file[frame.f_code.co_filename] += 1
        else:
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return self._trace


def instructions(rotations: int) -> Instructions:
    """Count so many rotations of each kind."""
    with set_up(Shape(rotations + 1, 1)) as stage:
        seed(stage)
        return Instructions(_of_service(stage), {kind: _of_bare(stage, kind, rotations) for kind in KINDS})


def _of_service(stage: Stage) -> dict[str, float]:
    with runtime_of(stage) as runtime:
        look = partial(look_while_due, runtime)
        first, *others = names(stage.shape.targets)
        look(first)  # logs in, loads scripts and modules
        counted = Counting().run(partial(_each, look, others))
    spent: Counter[str] = Counter()
    for file, count in counted.items():
        spent[_library(file)] += count
    return {name: count / len(others) for name, count in spent.most_common()}


def _of_bare(stage: Stage, kind: str, rotations: int) -> float:
    job = job_of(stage, kind, 1)
    calls = KINDS[kind](job)
    rotate(calls, job, "warm-up")
    counted = Counting().run(partial(_each, partial(rotate, calls, job), names(rotations)))
    calls.close()
    return counted.total() / rotations


def _each(work: Callable[[str], None], targets: Sequence[str]) -> None:
    for name in targets:
        work(name)


def _library(file: str) -> str:
    found = _PACKAGE.search(file) or _OURS.search(file)
    return found[1] if found else "the standard library"
