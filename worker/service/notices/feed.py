"""Where log lines become work for notices: a bounded queue that nobody who logs ever waits for."""

from __future__ import annotations

import queue
from collections.abc import Mapping

from structlog.typing import EventDict

MOST = 10_000
"""Lines that wait; further ones are lost, and counted."""

Line = Mapping[str, object]


class Feed:
    """A structlog processor behind the redactor: keeps the events of ``wanted``, changes nothing, and never waits."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self._lines: queue.Queue[Line | None] = queue.Queue(MOST)
        self._lost = 0

    def __call__(self, logger: object, method: str, event_dict: EventDict) -> EventDict:
        """Keep a line that matters."""
        del logger, method
        if event_dict.get("event") in self._wanted:
            try:
                self._lines.put_nowait(dict(event_dict))
            except queue.Full:
                self._lost += 1  # a line too few or many is no matter: it is told that there were some
        return event_dict

    def next(self) -> Line | None:
        """Wait for the next line; None: there will be none any more."""
        return self._lines.get()

    def lost(self) -> int:
        """How many lines were lost since this was asked last."""
        lost, self._lost = self._lost, 0
        return lost

    def end(self) -> None:
        """Have :meth:`next` answer None once all that waits was taken; where too much does, at once."""
        try:
            self._lines.put_nowait(None)
        except queue.Full:
            self._lost += self._lines.qsize()
            with self._lines.mutex:
                self._lines.queue.clear()
            self._lines.put(None)
