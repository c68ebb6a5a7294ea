"""Troubles that stand: said once when they begin, once for each other form, and once when they end."""

from __future__ import annotations

import threading
from datetime import datetime

import structlog

from worker.clock import Clock, WitnessedClock
from worker.errors import QueueUnavailable
from worker.events import Event

QUIET_SECONDS = 15.0
"""What has not failed for so long is over: one kind of call may work while another fails."""

CLOCKS = (
    "Set this machine's clock, and Vault's, by NTP. Meanwhile the worker goes by Vault's, and deletes no key before "
    "both say that its time is over."
)

_log = structlog.get_logger(__name__)


class RedisTrouble:
    """Whether Redis can be used, as all threads of this process find it; may be told by any of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said: set[str] = set()
        self._what = ""
        self._began = self._last = 0.0

    @property
    def what(self) -> str:
        """What is wrong now; empty when all is well."""
        return self._what

    def failed(self, error: QueueUnavailable) -> None:
        """A call failed."""
        now = self._clock.monotonic()
        with self._lock:
            if not self._what:
                self._began = now
            self._what, self._last = error.what, now
            is_new = error.what not in self._said
            self._said.add(error.what)
        if is_new:
            _log.warning(Event.QUEUE_UNAVAILABLE, error=error.what, hint=error.hint)

    def well(self) -> bool:
        """A call succeeded; whether a trouble is over by that."""
        now = self._clock.monotonic()
        with self._lock:
            if not self._what or now - self._last < QUIET_SECONDS:
                return False
            self._what = ""
            self._said.clear()
            lasted = self._last - self._began
        _log.info(Event.QUEUE_AVAILABLE, lasted_s=round(lasted))
        return True


class ClockTrouble:
    """Whether the machine's clock and Vault's agree; also what hears Vault's."""

    def __init__(self, clock: WitnessedClock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._said = False

    def hear(self, said: datetime, asked_at: float) -> None:
        """Vault said what time it is. See :class:`worker.clock.WitnessedClock`."""
        with self._lock:
            self._clock.hear(said, asked_at)
            ahead = self._clock.ahead.total_seconds()
            changed, self._said = bool(ahead) is not self._said, bool(ahead)
        if changed and ahead:
            _log.warning(Event.CLOCK_APART, ahead_s=round(ahead), hint=CLOCKS)
        elif changed:
            _log.info(Event.CLOCK_AGREES)
