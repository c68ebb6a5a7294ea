"""``python -m tests.fuzz``: inputs by the million; what fails is kept in tests/fuzz/corpus, and replayed ever after."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.corpus import keep, kept
from tests.fuzz.parts import NAMES
from tests.fuzz.runner import Found, Work, run

SLICE = 20_000
"""Inputs that one process takes at most: then a fresh one goes on."""

GROWN = Path(__file__).parents[2] / ".fuzz"
"""Where guided runs keep the inputs that lead to new places, so that the next one goes on from there."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print what was found, and return 0 if that is nothing."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each part")
    parser.add_argument("--part", choices=NAMES, action="append", help="only this part; may be given several times")
    parser.add_argument("--seed", help="for the same inputs again")
    parser.add_argument("--guided", action="store_true", help="by where inputs lead to; needs requirements/fuzz.txt")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    seed = given.seed or secrets.token_hex(4)
    _say(f"seed {seed}")
    well = True
    for name in given.part or NAMES:
        well &= _fuzz(name, seed, given.inputs, given.jobs, guided=given.guided)
    return 0 if well else 1


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fuzz(name: str, seed: str, inputs: int, jobs: int, *, guided: bool) -> bool:
    """Whether all is well with one part."""
    began = time.monotonic()
    works = list(_works(name, seed, inputs, jobs, guided=guided))
    faults: dict[tuple[str, str], Found] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(run, works):
            for each in found:
                faults.setdefault((each.finding.kind, each.finding.place), each)
    seconds = time.monotonic() - began
    rate = inputs / seconds
    _say(f"{name}: {inputs} inputs in {seconds:.0f} s ({rate:.0f} a second), {len(faults)} faults")
    for each in faults.values():
        _say(f"\n{each}\nkept as {keep(each.finding, each.data)}\n")
    return not faults


def _works(name: str, seed: str, inputs: int, jobs: int, *, guided: bool) -> Iterator[Work]:
    files = kept(name)
    if files:
        yield Work(name, files=files)
    if guided:
        for job in range(jobs):
            yield Work(name, f"{seed}-{job}", 0, inputs // jobs, guided=GROWN / name)
        return
    for first in range(0, inputs, SLICE):
        yield Work(name, seed, first, min(first + SLICE, inputs))


if __name__ == "__main__":
    sys.exit(main())
