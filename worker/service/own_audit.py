"""The audit by this process' own clock: whatever Redis says, and whoever takes messages away, it is done some time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

from worker.clock import ProcessClock

OWN_AFTER = 3
"""So many of ``audit_every`` without an audit by this process, and it does one by itself.

Beside workers that take turns each does a third of them, at most.
"""

_LOOKS = 10
"""How often it is looked at within ``audit_every``."""


class AuditDiary:
    """When this process audited last, by the clock that only goes forward."""

    def __init__(self, clock: ProcessClock, every: timedelta) -> None:
        self._clock = clock
        self._patience = every.total_seconds() * OWN_AFTER
        self._last = clock.monotonic()

    def note(self) -> None:
        """An audit begins."""
        self._last = self._clock.monotonic()

    def is_overdue(self) -> bool:
        """Whether this process has not audited for too long."""
        return self._clock.monotonic() - self._last >= self._patience


class OwnAudit:
    """A thread that audits when no message had this process do it for too long. ``run`` lets no error out."""

    def __init__(self, clock: ProcessClock, diary: AuditDiary, every: timedelta, run: Callable[[], None]) -> None:
        self._clock = clock
        self._diary = diary
        self._pause = every.total_seconds() / _LOOKS
        self._run = run
        # a daemon: an audit that waits for Vault must not hold up the end of the process; it changes only what it can
        self._thread = threading.Thread(target=self._watch, name="own audit", daemon=True)

    def start(self) -> None:
        """Begin; it ends with the clock."""
        self._thread.start()

    def _watch(self) -> None:
        while not self._clock.wait(self._pause):
            if self._diary.is_overdue():
                self._run()
