"""The pulse of a worker process: a thread that shows that it is there, and keeps its Vault token alive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from worker.errors import RotatorError
from worker.events import Event

PULSE_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Pulse:
    """Calls each of ``beats`` every few seconds until stopped, and touches a file for :mod:`worker.service.health`."""

    def __init__(self, beats: tuple[Callable[[], None], ...], file: Path | None) -> None:
        self._beats = beats
        self._file = file
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, and wait for the beat under way."""
        self._stop.set()
        if self._thread.ident is not None:  # it was started at all
            self._thread.join(timeout=2 * PULSE_SECONDS)

    def _run(self) -> None:
        while True:
            for beat in self._beats:
                _try(beat)
            _try(self._touch)
            if self._stop.wait(PULSE_SECONDS):
                return

    def _touch(self) -> None:
        if self._file is None:
            return
        try:
            self._file.touch()
        except OSError as error:
            hint = "ROTATOR_HEALTH_FILE must name a file that the worker may write; until then it seems dead."
            raise RotatorError(f"the health file cannot be written: {error.strerror}", hint=hint) from None


def _try(beat: Callable[[], None]) -> None:
    try:
        beat()
    except RotatorError as error:
        _log.warning(Event.PULSE_FAILED, error=error.what, hint=error.hint)
