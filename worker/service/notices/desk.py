"""The thread that makes notices of log lines, sees that each is told once, and hands them to the channels."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import structlog

from worker.adapters.redis.outbox import TOLD_FOR, Outbox, Waiting
from worker.clock import Clock
from worker.errors import QueueUnavailable
from worker.events import Event
from worker.notices.judging import Word, words
from worker.service.notices.courier import HELD, Courier
from worker.service.notices.feed import Feed, Line

REMEMBERED = 10_000
"""What was told while Redis was away: so many are remembered."""

_log = structlog.get_logger(__name__)


class Desk:
    """Takes lines from the feed until that ends. Redis says what was told already; while it is away, this process."""

    def __init__(
        self, feed: Feed, outbox: Outbox, couriers: Sequence[Courier], owners: Mapping[str, str], clock: Clock
    ) -> None:
        self._feed = feed
        self._outbox = outbox
        self._couriers = couriers
        self._owners = owners
        self._clock = clock
        self._told: OrderedDict[str, float] = OrderedDict()
        self._thread = threading.Thread(target=self._run, name="notices", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until all lines are taken, which ends once the feed does; not longer than so."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while (line := self._feed.next()) is not None:
            try:
                self._take(line)
            except Exception as error:  # noqa: BLE001 - a defect in one notice must not end all others
                _log.critical(Event.ERROR_UNCAUGHT, kind=type(error).__name__, exc_info=error)
            if lost := self._feed.lost():
                _log.warning(Event.NOTICE_FAILED, error=f"{lost} events came too fast: of them nobody was told")

    def _take(self, line: Line) -> None:
        for word in words(line, self._owners):
            couriers = [courier for courier in self._couriers if courier.takes(word.notice)]
            if (couriers or word.over) and (not word.over or self._was_told(word)):
                self._tell(word, couriers)

    def _was_told(self, word: Word) -> bool:
        """Whether one of what is over was told; it is not remembered any more."""
        here = [self._told.pop(mark, None) for mark in word.over]
        try:
            there = self._outbox.over(word.over)
        except QueueUnavailable:
            there = False
        return there or any(at is not None for at in here)

    def _tell(self, word: Word, couriers: Sequence[Courier]) -> None:
        now = self._clock.now()
        waiting, names = Waiting(word.notice, now), [courier.name for courier in couriers]
        try:
            full = self._outbox.put(waiting, word.mark, names, now + HELD)
        except QueueUnavailable:
            full = None if self._is_remembered(word.mark) else names
        for courier in couriers if full is not None else ():
            courier.hand(waiting, stored=courier.name not in (full or ()))

    def _is_remembered(self, mark: str) -> bool:
        now = self._clock.monotonic()
        at = self._told.get(mark)
        if at is not None and now - at < TOLD_FOR.total_seconds():
            return True
        self._told[mark] = now
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        return False
