"""Work that may wait long for something outside, in a thread of its own: no look waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Does one piece of work, once at a time. Whoever asks for it meanwhile has it done once more afterwards."""

    def __init__(self, name: str, work: Callable[[], None]) -> None:
        self._name = name
        self._work = work
        self._lock = threading.Lock()
        self._wanted = False
        self._busy = False

    def ask(self) -> None:
        """Have it done soon. ``work`` lets no error out."""
        with self._lock:
            self._wanted = True
            if self._busy:
                return
            self._busy = True
        # a daemon: what waits for HostUp must not hold up the end of the process
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while self._goes_on():
            self._work()

    def _goes_on(self) -> bool:
        with self._lock:
            self._busy, self._wanted = self._wanted, False
            return self._busy
