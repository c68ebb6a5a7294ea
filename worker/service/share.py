"""How many threads of a process may watch at once, so that the others are free for what becomes due."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

WATCHING_SHARE = 4
"""One in so many threads may watch."""


def watching_threads(threads: int) -> int:
    """How many of so many threads may watch."""
    return max(1, threads // WATCHING_SHARE)


@dataclass(slots=True)
class Share:
    """Places for threads that watch: with a slow object storage, looks last longer than ticks, and would pile up."""

    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def place(self, threads: int) -> Iterator[bool]:
        """Take one of the places that there are with so many threads; False when all are taken."""
        with self._lock:
            free = self._taken < watching_threads(threads)
            self._taken += free
        try:
            yield free
        finally:
            with self._lock:
                self._taken -= free
