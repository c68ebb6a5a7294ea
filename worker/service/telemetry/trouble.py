"""What becomes of trouble with who collects: one line when it begins, one when it is over, and nothing else."""

from __future__ import annotations

import threading

import structlog

from worker.events import Event

_log = structlog.get_logger(__name__)


class Trouble:
    """Whether one kind of telemetry can be delivered; ``what`` it is, and ``hint``: what a person can do about it."""

    def __init__(self, what: str, hint: str) -> None:
        self._what = what
        self._hint = hint
        self._lock = threading.Lock()
        self._there = False

    def note(self, *, well: bool, why: str = "it cannot be delivered; rotations go on") -> None:
        """It could be delivered, or not."""
        with self._lock:
            if self._there != well:
                return
            self._there = not well
        if well:
            _log.info(Event.TELEMETRY_RESUMED, telemetry=self._what)
        else:
            _log.warning(Event.TELEMETRY_FAILED, telemetry=self._what, error=why, hint=self._hint)
