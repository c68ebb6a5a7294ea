"""How long to wait before the next try: exponential, capped, with jitter that is derived and never redrawn."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from datetime import timedelta

VERIFY_FLOOR = timedelta(milliseconds=200)
VERIFY_CAP = timedelta(seconds=10)
DEATH_CAP = timedelta(seconds=30)

LONGEST_ASKED = timedelta(minutes=15)
"""A longer wait that HostUp asks for is cut to this: a wrong number must not stop the account for a day."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """The first wait and the longest; both are stretched by up to a quarter of jitter."""

    first: timedelta
    longest: timedelta

    def delay(self, count: int, name: str, retry_after: float | None = None) -> timedelta:
        """The wait after ``count`` (from 1) failures in a row of ``name``.

        ``retry_after`` (seconds, from HostUp's 429) is a lower bound: what the API asks for is obeyed, up to
        :data:`LONGEST_ASKED`.
        """
        doubled = self.first * math.pow(2, min(max(count, 1) - 1, 30))
        wait = min(doubled, self.longest) * (1 + fraction(f"{name}/{count}") / 4)
        return max(wait, min(timedelta(seconds=retry_after), LONGEST_ASKED)) if retry_after else wait


def fraction(name: str) -> float:
    """A number in [0, 1) that is always the same for a name, in every process."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big") / 2**48


def next_verify(age: timedelta) -> timedelta:
    """How long to wait before asking again whether a key of this age works: often at first, then less."""
    return min(max(age / 2, VERIFY_FLOOR), VERIFY_CAP)


def next_death_probe(since_deleted: timedelta) -> timedelta:
    """How long to wait before asking again whether a deleted key is dead."""
    return min(max(since_deleted / 2, VERIFY_FLOOR), DEATH_CAP)
