"""Standbys that are behind: one that answers reads itself may not have what the active node has just written.

OpenBao's standbys do so by default, and performance standbys of Vault Enterprise ("Eventual consistency" in their
documents). A quarter of the reads right after a write were of the version before it, and check-and-set is refused by
the same old state (docs/facts.md). What a process has written, has seen or was told of is not older a moment later: a
read that says so is made again, and so is a write that is refused where nothing newer is to be seen.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from worker.clock import Clock

PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.32)
"""Seconds before each further try, a second in all. What is so after that is so: Vault was set back, or the document
made anew.
"""

KEPT = 60.0
"""Seconds for which a version is remembered. A standby that lags for longer than that has other troubles."""

MOST = 10_000
"""Paths that are remembered at a time."""


class Newest:
    """The newest version of each path that this process knows of; for many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def of(self, path: str) -> int:
        """The version, 0 where none is known."""
        with self._lock:
            version, at = self._known.get(path, (0, 0.0))
            return version if version and self._clock.monotonic() - at < KEPT else 0

    def saw(self, path: str, version: int) -> None:
        """This version is there: was written, was read, or stood in the way of a write."""
        with self._lock:
            known, _ = self._known.pop(path, (0, 0.0))
            self._known[path] = max(known, version), self._clock.monotonic()
            while len(self._known) > MOST:
                self._known.popitem(last=False)

    def forget(self, path: str) -> None:
        """What was known is not so any more: the newest version is an older one."""
        with self._lock:
            self._known.pop(path, None)
