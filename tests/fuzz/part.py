"""One thing that is fuzzed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """``seeds`` are honest inputs, ``mutate`` changes one input once, ``run`` hands it to the product.

    ``run`` yields every text that anybody could see of what came of it, and lets errors through that are not this
    project's. None of the texts may hold one of ``secrets``. ``share`` is how many inputs each `make test` gives to it.
    """

    name: str
    seeds: Callable[[], Sequence[bytes]]
    mutate: Callable[[bytes, random.Random], bytes]
    run: Callable[[bytes], Iterator[str]]
    share: int
    secrets: tuple[str, ...] = ()


def made(part: Part, seeds: Sequence[bytes], seed: str, number: int) -> bytes:
    """The input of this number: always the same for a seed."""
    draw = random.Random(f"{seed}/{part.name}/{number}")
    data = draw.choice(seeds)
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        data = part.mutate(data, draw)
    return data
