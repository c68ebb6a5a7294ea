"""The clock, as an argument: everything that depends on time is handed one of these."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import Protocol


def moment(value: object) -> datetime | None:
    """A moment that somebody else wrote down: ISO 8601 with a zone; None for anything else."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None


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
