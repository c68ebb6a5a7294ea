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
        self._closed = False
        self._thread: threading.Thread | None = None

    def ask(self) -> None:
        """Have it done soon. ``work`` lets no error out."""
        with self._lock:
            if self._closed:
                return
            self._wanted = True
            if self._busy:
                return
            self._busy = True
            # a daemon: what waits for HostUp must not hold up the end of the process for as long as it likes
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def finish(self, seconds: float) -> None:
        """Let what is under way end, for so long at most; nothing is begun after it."""
        with self._lock:
            self._closed, thread = True, self._thread
        if thread:
            thread.join(seconds)

    def _run(self) -> None:
        while self._goes_on():
            self._work()

    def _goes_on(self) -> bool:
        with self._lock:
            self._busy, self._wanted = self._wanted and not self._closed, False
            return self._busy
