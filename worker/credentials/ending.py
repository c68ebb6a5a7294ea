"""How a process that lives long ends: because it was told to, or because a thread that it cannot do without broke."""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable
from threading import Event


class Ending:
    """What the main thread waits for: SIGTERM, Ctrl-C, or :meth:`broke`."""

    def __init__(self) -> None:
        self._ended = Event()
        self._broken = False

    def listen(self) -> None:
        """From now on signals end the process in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ended.set())

    def broke(self) -> None:
        """Something that nobody thought of has happened: who starts this process shall start it anew."""
        self._broken = True
        self._ended.set()

    def wait(self) -> int:
        """The exit code, once the end has come."""
        self._ended.wait()
        return 1 if self._broken else 0


def guarded(run: Callable[[], None], broke: Callable[[], None]) -> Callable[[], None]:
    """For a thread: a process that lives on after its end, and does nothing, would not be noticed.

    What happened is told first: the process may be gone before the interpreter tells it.
    """

    def guarded_run() -> None:
        try:
            run()
        except BaseException:  # noqa: BLE001 - it is told
            traceback.print_exc()
            broke()

    return guarded_run
