"""The thread of one channel: delivers what is new at once, and what waits when its time comes.

Each channel has its own, so one that hangs holds up no other.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from worker.adapters.redis.outbox import Outbox, Waiting
from worker.clock import Clock
from worker.errors import NotDelivered, QueueUnavailable
from worker.events import Event
from worker.meter import Meter
from worker.notices.notice import Notice, Way
from worker.notices.routes import Route, next_try

HELD = timedelta(minutes=3)
"""How long a notice is one worker's alone: after that another one delivers it. Longer than any delivery takes."""

_OWN = timedelta(minutes=1)
"""A new notice that has waited here for longer is left to who takes it from the outbox."""

LOOK_EVERY = 5.0
"""Seconds between looks at what waits."""

MOST = 1_000
"""New notices that wait in this process, and as many that Redis could not take."""


class Times(NamedTuple):
    """The clock, and how many seconds are between looks at what waits."""

    clock: Clock
    look_every: float = LOOK_EVERY


class _Item(NamedTuple):
    waiting: Waiting
    stored: bool


SENT, FAILED, DROPPED = "sent", "failed", "dropped"

_log = structlog.get_logger(__name__)


class Courier:
    """One channel at work. ``targets`` are those of the configuration: of others nobody is told."""

    def __init__(
        self, name: str, route: Route, way: Way, targets: Collection[str], outbox: Outbox, times: Times, meter: Meter
    ) -> None:
        self.name = name
        self._route = route
        self._way = way
        self._targets = targets
        self._outbox = outbox
        self._clock, self._look_every = times
        self._meter = meter
        self._new: queue.Queue[_Item | None] = queue.Queue(MOST)
        self._here: list[tuple[float, int, _Item]] = []
        self._number = itertools.count()
        self._ending = threading.Event()
        self._fails = False
        self._thread = threading.Thread(target=self._run, name=f"notices {name}", daemon=True)

    def takes(self, notice: Notice) -> bool:
        """Whether a notice goes by this channel."""
        return self._route.takes(notice)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def hand(self, waiting: Waiting, *, stored: bool) -> None:
        """Deliver this at once; ``stored``: it lies in the outbox, too. Waits for nothing."""
        try:
            self._new.put_nowait(_Item(waiting, stored))
        except queue.Full:
            if not stored:
                self._drop(waiting.notice, "too many notices wait for this channel")

    def end(self) -> None:
        """Deliver what is new, then end."""
        self._ending.set()
        with suppress(queue.Full):  # then there is something to wake up for anyway
            self._new.put_nowait(None)

    def join(self, seconds: float) -> None:
        """Wait for the end, not longer than so."""
        self._thread.join(seconds)

    def _run(self) -> None:
        looked = self._clock.monotonic()
        while not (self._ending.is_set() and (self._new.empty() or self._fails)):
            item = self._next()
            try:
                if item and (not item.stored or self._clock.now() - item.waiting.since < _OWN):
                    self._deliver(item)
                if item is None or self._clock.monotonic() - looked >= self._look_every:
                    self._look()
                    looked = self._clock.monotonic()
            except Exception as error:  # noqa: BLE001 - a defect with one notice must not end the channel
                _log.critical(Event.ERROR_UNCAUGHT, kind=type(error).__name__, exc_info=error)
        self._leave()

    def _leave(self) -> None:
        """What lies in Redis is another worker's; what does not is lost."""
        left = [item for _, _, item in self._here]
        with suppress(queue.Empty):
            while True:
                left += filter(None, [self._new.get_nowait()])
        for item in left:
            if not item.stored:
                self._drop(item.waiting.notice, "the worker ends, and Redis could not keep it for another one")

    def _next(self) -> _Item | None:
        try:
            return self._new.get(timeout=self._look_every)
        except queue.Empty:
            return None

    def _look(self) -> None:
        """Deliver what waits and is due, until that fails, or something new has come."""
        while self._new.empty() and not self._ending.is_set():
            item = self._due_here() or self._claimed()
            if item is None or not self._deliver(item):
                return

    def _due_here(self) -> _Item | None:
        if self._here and self._here[0][0] <= self._clock.monotonic():
            return heapq.heappop(self._here)[2]
        return None

    def _claimed(self) -> _Item | None:
        now = self._clock.now()
        try:
            while waiting := self._outbox.claim(self.name, now, now + HELD):
                if self._route.takes(waiting.notice) and waiting.notice.target in {None, *self._targets}:
                    return _Item(waiting, stored=True)
                self._outbox.done(self.name, waiting.notice.id)
                self._drop(waiting.notice, "the configuration has no such target, or the channel takes it no more")
        except QueueUnavailable as error:
            _log.debug(Event.QUEUE_UNAVAILABLE, error=error.what)  # the pulse tells of it
        return None

    def _deliver(self, item: _Item) -> bool:
        notice = item.waiting.notice
        try:
            self._way.deliver(notice)
        except NotDelivered as error:
            self._failed(item, error)
            return False
        self._fails = False
        self._meter.noticed(self.name, SENT)
        _log.info(Event.NOTICE_SENT, **self._about(notice), tries=item.waiting.tries + 1)
        self._remove(item)
        return True

    def _failed(self, item: _Item, error: NotDelivered) -> None:
        self._meter.noticed(self.name, FAILED)
        waiting = replace(item.waiting, tries=item.waiting.tries + 1)
        now = self._clock.now()
        at = next_try(waiting.tries, waiting.since, now, waiting.notice.id)
        if at is None:
            self._remove(item)
            self._drop(waiting.notice, error.what)
            return
        say = _log.debug if self._fails else _log.warning
        say(Event.NOTICE_POSTPONED, **self._about(waiting.notice), **error.fields(), until=at.isoformat())
        self._fails = True
        if not (item.stored and self._is_postponed(waiting, at)):
            due = self._clock.monotonic() + (at - now).total_seconds()
            heapq.heappush(self._here, (due, next(self._number), _Item(waiting, item.stored)))
        if len(self._here) > MOST:
            self._drop(self._here.pop()[2].waiting.notice, "too many notices wait, and Redis could not keep them")

    def _is_postponed(self, waiting: Waiting, at: datetime) -> bool:
        try:
            self._outbox.postpone(self.name, waiting, at)
        except QueueUnavailable:
            return False
        return True

    def _remove(self, item: _Item) -> None:
        if item.stored:
            with suppress(QueueUnavailable):  # it may be delivered once more, with the same id
                self._outbox.done(self.name, item.waiting.notice.id)

    def _drop(self, notice: Notice, why: str) -> None:
        self._meter.noticed(self.name, DROPPED)
        _log.warning(Event.NOTICE_FAILED, **self._about(notice), error=why, hint="Nobody was told of it by this way.")

    def _about(self, notice: Notice) -> dict[str, object]:
        known = {"channel": self.name, "notice": notice.id, "about": notice.event.value, "target": notice.target}
        return {name: value for name, value in known.items() if value is not None}
