"""The clock, as an argument: everything that depends on time is handed one of these."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

AGREE = timedelta(seconds=5)
"""Clocks that are no further apart agree: an answer takes its time, and names the second only."""

SLOWEST_WORD = 2.0
"""Seconds. What took longer says too little of the time."""

UNSURE = timedelta(seconds=1 + SLOWEST_WORD / 2)
"""How far off a clock is that was put right by another one's word: that names the second only, and took its time."""

Hear = Callable[[datetime, float], None]
"""Takes what another clock said, and when by :meth:`Clock.monotonic` it was asked."""
_YEARS = range(1970, 9000)
"""Of moments that can be. At the calendar's very ends neither another zone nor any sum can be worked out."""


def moment(value: object) -> datetime | None:
    """A moment that somebody else wrote down: ISO 8601 with a zone; None for anything else."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo and is_possible(found) else None


def is_possible(moment: datetime) -> bool:
    """Whether a moment that somebody else wrote down is one to count with."""
    return moment.year in _YEARS


class Clock(Protocol):
    """What the shell needs of time."""

    def now(self) -> datetime:
        """The wall clock, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean something."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the process is asked to stop; True when it was asked to stop."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait so long, whatever is asked: for what must not be given up, such as a key that is not on record."""
        ...


class ProcessClock(Clock, Protocol):
    """The clock of a process, which also knows when it is over."""

    @property
    def stopping(self) -> bool:
        """Whether the process was asked to stop."""
        ...

    def stop(self) -> None:
        """End every wait, now and from now on."""
        ...


class SystemClock:
    """The machine's clock; ``stop`` ends every wait at once (a warm shutdown)."""

    def __init__(self) -> None:
        self._stop = threading.Event()

    def now(self) -> datetime:
        """See :class:`Clock`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See :class:`Clock`."""
        return time.monotonic()

    def wait(self, seconds: float) -> bool:
        """See :class:`Clock`."""
        return self._stop.wait(max(0.0, seconds))

    def sleep(self, seconds: float) -> None:
        """See :class:`Clock`."""
        time.sleep(max(0.0, seconds))

    def stop(self) -> None:
        """End every wait, now and from now on."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether the process was asked to stop."""
        return self._stop.is_set()


class WitnessedClock:
    """A machine's clock that is put right by another one's: all workers go by the one that they share (Vault's).

    Where both agree it is the machine's. Where they do not, or the machine's jumps, it goes on from what the other one
    said last, as the monotonic clock does. Needs that to be said now and then (:meth:`hear`).
    """

    def __init__(self, own: ProcessClock) -> None:
        self.own = own
        self._heard: tuple[datetime, float] | None = None

    def hear(self, said: datetime, asked_at: float) -> None:
        """Another clock said so, at some moment since ``asked_at`` (by :meth:`monotonic`)."""
        now = self.own.monotonic()
        if 0 <= now - asked_at <= SLOWEST_WORD:
            self._heard = (said + timedelta(seconds=(now - asked_at) / 2), now)

    @property
    def ahead(self) -> timedelta:
        """How far the machine's clock is ahead of the other one, or (negative) behind; zero where they agree."""
        if self._heard is None:
            return timedelta(0)
        said, at = self._heard
        ahead = self.own.now() - (said + timedelta(seconds=self.own.monotonic() - at))
        return ahead if abs(ahead) > AGREE else timedelta(0)

    def now(self) -> datetime:
        """See :class:`Clock`."""
        return self.own.now() - self.ahead

    def monotonic(self) -> float:
        """See :class:`Clock`."""
        return self.own.monotonic()

    def wait(self, seconds: float) -> bool:
        """See :class:`Clock`."""
        return self.own.wait(seconds)

    def sleep(self, seconds: float) -> None:
        """See :class:`Clock`."""
        self.own.sleep(seconds)

    def stop(self) -> None:
        """See :class:`ProcessClock`."""
        self.own.stop()

    @property
    def stopping(self) -> bool:
        """See :class:`ProcessClock`."""
        return self.own.stopping
