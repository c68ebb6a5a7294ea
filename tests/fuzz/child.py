"""One process that takes inputs, one after another: so what hangs, or dies, or takes all memory, harms nobody else.

Tells its parent (:mod:`.runner`) what it found, a line of JSON for each; the input under way stands in a file that both
have mapped, because a process that the kernel ends cannot tell anything.
"""

from __future__ import annotations

import argparse
import json
import mmap
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.fuzz.limits import Finding, feed, hold_limits

LARGEST_INPUT = 16 * 1024 * 1024
_HEAD = 16


class UnderWay:
    """Which input is under way, for whoever looks at the file later: its number, its length, and itself."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), _HEAD + LARGEST_INPUT)

    def note(self, number: int, data: bytes) -> None:
        """Before an input is taken."""
        self._memory[_HEAD : _HEAD + len(data)] = data
        self._memory[:_HEAD] = number.to_bytes(8) + len(data).to_bytes(8)

    @staticmethod
    def make(file: Path) -> None:
        """Make the file; only what is written to it takes place on the disk."""
        with file.open("wb") as opened:
            opened.truncate(_HEAD + LARGEST_INPUT)

    @staticmethod
    def read(file: Path) -> tuple[int, bytes]:
        """The number and the input."""
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
            return int.from_bytes(head[:8]), opened.read(int.from_bytes(head[8:]))


class Reporter:
    """Tells of each fault once, and again when a smaller input shows it."""

    def __init__(self) -> None:
        self._smallest: dict[tuple[str, str], int] = {}

    def tell(self, found: Finding, data: bytes) -> None:
        known = self._smallest.get((found.kind, found.place))
        if known is None or len(data) * 2 < known:
            self._smallest[found.kind, found.place] = len(data)
            sys.stdout.write(f"{json.dumps([found.part, found.kind, found.place, found.detail, data.hex()])}\n")
            sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    """Take the inputs that the arguments name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part")
    parser.add_argument("under_way", type=Path)
    parser.add_argument("--seed", default="")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--inputs", type=int, default=0)
    parser.add_argument("--files", nargs="*", type=Path, default=[])
    parser.add_argument("--guided", type=Path, help="a folder for inputs that lead to new places")
    given = parser.parse_args(arguments)
    under_way, reporter = UnderWay(given.under_way), Reporter()
    if given.guided:
        from tests.fuzz.guided import instrument, run_guided  # noqa: PLC0415 - atheris is installed for this alone

        instrument(given.part)
        run_guided(given.part, given.seed, given.inputs, given.guided, taking(given.part, under_way, reporter))
        return
    from tests.fuzz.part import made  # noqa: PLC0415 - after atheris has had its way with the imports
    from tests.fuzz.parts import part_named  # noqa: PLC0415 - the same

    part = part_named(given.part)
    seeds = part.seeds()
    take = taking(given.part, under_way, reporter)
    for number, file in enumerate(given.files[given.first :], given.first):
        take(number, file.read_bytes())
    for number in range(given.first, given.inputs):
        take(number, made(part, seeds, given.seed, number)[:LARGEST_INPUT])


def taking(name: str, under_way: UnderWay, reporter: Reporter) -> Callable[[int, bytes], None]:
    """What takes one input of a number."""
    from tests.fuzz.parts import part_named  # noqa: PLC0415 - see above

    part = part_named(name)
    hold_limits()

    def take(number: int, data: bytes) -> None:
        under_way.note(number, data)
        found = feed(part, data)
        if found:
            reporter.tell(found, data)

    return take


if __name__ == "__main__":
    main(sys.argv[1:])
