"""Tells of messages that are not taken: each one, and of a flood only how many there were."""

from __future__ import annotations

import structlog

from worker.clock import ProcessClock
from worker.events import Event
from worker.service.message import UNKNOWN_TASK, Refused

WINDOW_SECONDS = 60.0
TOLD_IN_A_WINDOW = 20

_log = structlog.get_logger(__name__)


class Refusals:
    """A line for each refusal, never with what the message held; beyond a bound they are only counted."""

    def __init__(self, clock: ProcessClock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self._told = 0
        self._untold = 0

    def tell(self, refused: Refused, length: int) -> None:
        """Log a refusal; ``length`` is that of the item in bytes."""
        self.tell_rest()
        if self._told >= TOLD_IN_A_WINDOW:
            self._untold += 1
            return
        self._told += 1
        if refused.kind == UNKNOWN_TASK:
            _log.error(Event.TASK_UNKNOWN, task=refused.task, length=length, hint=_ANOTHER_APP)
        else:
            _log.error(Event.TASK_REFUSED, kind=refused.kind, length=length, error=_WHAT, hint=_HINT)

    def tell_rest(self) -> None:
        """Once a minute is over, say how many refusals in it were not logged; to be called now and then."""
        now = self._clock.monotonic()
        if now - self._began < WINDOW_SECONDS:
            return
        untold, self._began, self._told, self._untold = self._untold, now, 0, 0
        if untold:
            _log.error(Event.TASK_REFUSED, kind="flood", count=untold, error=_MORE, hint=_HINT)


_WHAT = "a message on the queue is none that a worker takes; it was taken off"
_MORE = "more messages than are logged one by one were none that a worker takes; they were taken off"
_HINT = "Nothing was done. Who asks for rotations sends what docs/apps.md shows."
_ANOTHER_APP = "Another program sends to this queue: give it one of its own, or set queue under [redis]."
