"""Tells of messages that are not taken: each one, and of a flood only how many there were."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import structlog

from worker.clock import Clock, ProcessClock
from worker.errors import RequestLimited
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


class RightForm:
    """Lines about messages that have the right form and are refused all the same: of a flood only how many there were.

    Also what was refused for now, so that a flood does not have Vault asked of each. For all threads of a process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began = -math.inf
        self._told = self._untold = 0
        self._limited: dict[str, tuple[float, RequestLimited]] = {}

    def tell(self, clock: Clock, line: Callable[[], object]) -> None:
        """Log one, unless there were many within this minute."""
        self.tell_rest(clock)
        with self._lock:
            self._told += 1
            is_told = self._told <= TOLD_IN_A_WINDOW
            self._untold += not is_told
        if is_told:
            line()

    def tell_rest(self, clock: Clock) -> None:
        """Once a minute is over, say how many were not logged; to be called now and then."""
        with self._lock:
            now = clock.monotonic()
            if now - self._began < WINDOW_SECONDS:
                return
            untold, self._began, self._told, self._untold = self._untold, now, 0, 0
        if untold:
            _log.error(Event.TASK_REFUSED, kind="flood", count=untold, error=_MORE_OF_RIGHT_FORM, hint=_SENDERS)

    def limit(self, clock: Clock, target: str, error: RequestLimited) -> None:
        """A request was refused, as further ones of this target will be for a while."""
        self._limited[target] = clock.monotonic(), error

    def limited(self, clock: Clock, target: str) -> RequestLimited | None:
        """What a request was refused with within this minute, if the next one may not be made yet."""
        at, error = self._limited.get(target, (-math.inf, None))
        still = clock.monotonic() - at < WINDOW_SECONDS and error is not None and clock.now() < error.next_at
        return error if still else None


_WHAT = "a message on the queue is none that a worker takes; it was taken off"
_MORE = "more messages than are logged one by one were none that a worker takes; they were taken off"
_HINT = "Nothing was done. Who asks for rotations sends what docs/apps.md shows."
_MORE_OF_RIGHT_FORM = "more messages than are logged one by one asked for what is refused; they were taken off"
_SENDERS = "Nothing was done. See who sends so many messages to the queue."
_ANOTHER_APP = "Another program sends to this queue: give it one of its own, or set queue under [redis]."
