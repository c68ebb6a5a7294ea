"""How many threads of a process may watch at once, so that the others are free for what becomes due."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WATCHING_SHARE = 4
"""One in so many threads may watch."""


def watching_threads(threads: int, accounts: int = 1) -> int:
    """How many of so many threads may watch: one for each account at least, as long as one is left."""
    return max(1, threads // WATCHING_SHARE, min(accounts, threads - 1) if accounts > 1 else 1)


@dataclass(slots=True)
class Share:
    """Places for threads that watch: with a slow object storage, looks last longer than ticks, and would pile up."""

    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def place(self, most: int) -> Iterator[bool]:
        """Take one of so many places; False when all are taken."""
        with self._lock:
            free = self._taken < most
            self._taken += free
        try:
            yield free
        finally:
            with self._lock:
                self._taken -= free
