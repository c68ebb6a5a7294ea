"""Whether this process lives, by its own threads alone: what is outside may be away for days, and it lives on.

One rule for all who ask: the file of :mod:`worker.service.health`, `/livez`, and systemd's watchdog.
"""

from __future__ import annotations

from pathlib import Path

from worker.clock import Clock
from worker.errors import RotatorError
from worker.service import systemd

OLDEST_SECONDS = 60.0
"""A process that has not shown itself for so long hangs: its pulse waits for nothing longer than half of that."""


class Life:
    """When the pulse last came around. ``file`` is touched then, for those who ask from outside the process."""

    def __init__(self, clock: Clock, file: Path | None = None) -> None:
        self._clock = clock
        self._file = file
        self._shown = clock.monotonic()

    def note(self) -> None:
        """The pulse goes on."""
        self._shown = self._clock.monotonic()
        systemd.notify(systemd.ALIVE)

    def show(self) -> None:
        """The pulse comes around. Raises RotatorError where the file cannot be written."""
        self.note()
        if self._file is None:
            return
        try:
            self._file.touch()
        except OSError as error:
            hint = "ROTATOR_HEALTH_FILE must name a file that the worker may write; until then it seems dead."
            raise RotatorError(f"the health file cannot be written: {error.strerror}", hint=hint) from None

    def is_shown(self) -> bool:
        """Whether the pulse came around lately."""
        return self._clock.monotonic() - self._shown < OLDEST_SECONDS
