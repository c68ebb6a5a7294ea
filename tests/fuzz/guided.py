"""Inputs that are chosen by where they lead to: atheris (libFuzzer) sees which lines of ``worker`` an input reaches."""

from __future__ import annotations

import hashlib
import importlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

atheris: Any = importlib.import_module("atheris")
"""From requirements/fuzz.txt, for `make fuzz GUIDED=yes` alone."""

RAW_SHARE = 0.2
"""Of changes that are left to libFuzzer, which learns what the code compares with; all others are ours."""


def instrument(name: str) -> None:
    """Import what is fuzzed so that atheris sees where inputs lead."""
    with atheris.instrument_imports(include=["worker"]):
        importlib.import_module(f"tests.fuzz.parts.{name}")


def run_guided(name: str, seed: str, inputs: int, folder: Path, take: Callable[[int, bytes], None]) -> None:
    """Take so many inputs; those that lead to new places are kept in the folder and changed again. Ends the process."""
    from tests.fuzz.parts import part_named  # noqa: PLC0415 - after instrument()

    part = part_named(name)
    folder.mkdir(parents=True, exist_ok=True)
    for honest in part.seeds():
        (folder / hashlib.sha256(honest).hexdigest()[:16]).write_bytes(honest)
    count = 0

    def one(data: bytes) -> None:
        nonlocal count
        count += 1
        take(count, data)

    def mutate(data: bytes, largest: int, drawn: int) -> bytes:
        draw = random.Random(drawn)
        if draw.random() < RAW_SHARE:
            mutated: bytes = atheris.Mutate(data, largest)
            return mutated
        return part.mutate(data, draw)[:largest]

    number = int(hashlib.sha256(seed.encode()).hexdigest()[:7], 16) + 1
    options: list[Any] = [f"-runs={inputs}", f"-seed={number}", "-max_len=100000", "-timeout=0", "-rss_limit_mb=0"]
    atheris.Setup(["fuzz", *options, "-verbosity=0", str(folder)], one, custom_mutator=mutate)
    atheris.Fuzz()
