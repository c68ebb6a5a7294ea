"""Runs children (:mod:`.child`), one after another until all inputs are taken, and collects what they found."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.child import UnderWay
from tests.fuzz.limits import Finding

_ROOT = Path(__file__).parents[2]
_CERTAIN = ("memory", "hang", "standstill")
"""What a busy machine can make of an input that is well: it counts when a process of its own shows it again."""

MOST_DEATHS = 50
"""Of children, in one run: with more of them something is wrong that needs no more inputs."""


@dataclass(frozen=True, slots=True)
class Found:
    """A fault, and an input that shows it."""

    finding: Finding
    data: bytes = field(repr=False)

    def __str__(self) -> str:
        found = self.finding
        shown = repr(self.data if len(self.data) <= 1000 else self.data[:1000] + b"...")
        return f"{found.part}: {found.kind} {found.place}\n{found.detail}\ninput of {len(self.data)} bytes: {shown}"


@dataclass(frozen=True, slots=True)
class Work:
    """What one run takes: ``files``, or the inputs of a ``seed`` from ``first`` to ``inputs``; ``guided``: a folder."""

    part: str
    seed: str = ""
    first: int = 0
    inputs: int = 0
    files: Sequence[Path] = ()
    guided: Path | None = None

    def command(self, under_way: Path, first: int) -> list[str]:
        return [
            *(sys.executable, "-m", "tests.fuzz.child", self.part, str(under_way)),
            *("--seed", self.seed, "--first", str(first), "--inputs", str(self.inputs)),
            *(["--guided", str(self.guided)] if self.guided else []),
            *(["--files", *map(str, self.files)] if self.files else []),
        ]


def run(work: Work) -> list[Found]:
    """Everything that was found, each fault with the smallest of its inputs."""
    smallest: dict[tuple[str, str], Found] = {}
    for found in _all(work):
        if found.finding.kind in _CERTAIN and not _again(found):
            continue
        key = (found.finding.kind, found.finding.place)
        known = smallest.get(key)
        if known is None or len(found.data) < len(known.data):
            smallest[key] = found
    return list(smallest.values())


def _all(work: Work) -> Iterator[Found]:
    with tempfile.TemporaryDirectory() as folder:
        under_way = Path(folder) / "under-way"
        first = work.first
        for _ in range(MOST_DEATHS):
            UnderWay.make(under_way)
            child = subprocess.run(
                work.command(under_way, first),
                cwd=_ROOT,
                env={**os.environ, "TMPDIR": folder},  # what a child that is killed leaves behind is removed with it
                capture_output=True,
                check=False,
            )
            yield from _told(child.stdout)
            if child.returncode == 0:
                return
            number, data = UnderWay.read(under_way)
            yield Found(_of_death(work.part, child, data), data)
            first = 0 if work.guided else number + 1


def _told(output: bytes) -> Iterator[Found]:
    for line in output.splitlines():
        if line.startswith(b"["):
            *finding, data = json.loads(line)
            yield Found(Finding(*finding), bytes.fromhex(data))


def _of_death(part: str, child: subprocess.CompletedProcess[bytes], data: bytes) -> Finding:
    said = child.stderr.decode("utf-8", "replace")[-3000:]
    match -child.returncode:
        case signal.SIGPROF:
            return Finding(part, "hang", "", f"more than a second of CPU for an input of {len(data)} bytes")
        case signal.SIGALRM:
            return Finding(part, "standstill", "", f"no end for an input of {len(data)} bytes\n{said}")
    return Finding(part, "death", str(child.returncode), f"the process ended with {child.returncode}\n{said}")


def _again(found: Found) -> bool:
    """Whether the input shows its fault in a process of its own, too."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "input"
        file.write_bytes(found.data)
        return any(each.finding.kind == found.finding.kind for each in _all(Work(found.finding.part, files=[file])))
