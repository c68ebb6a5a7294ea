"""The pulse of a worker process: a thread that shows that it lives, that it is there, and keeps its token alive."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from worker.errors import RotatorError
from worker.events import Event

PULSE_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Pulse:
    """Calls each of ``inside`` every few seconds until stopped, and, once :meth:`begin` was called, of ``beats``.

    What is inside waits for nothing. The beats may wait for what they call: so ``go_on`` is called after each.
    """

    def __init__(
        self,
        inside: tuple[Callable[[], None], ...],
        beats: tuple[Callable[[], None], ...],
        go_on: Callable[[], None],
    ) -> None:
        self._inside = inside
        self._beats = beats
        self._go_on = go_on
        self._begun = threading.Event()
        self._next = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="pulse", daemon=True)

    def start(self) -> None:
        """Show that the process lives, from now on."""
        self._thread.start()

    def begin(self) -> None:
        """The worker is ready: do the beats, too, the first ones now."""
        self._begun.set()
        self._next.set()

    def stop(self) -> None:
        """End, and wait for the beat under way."""
        self._stopped = True
        self._next.set()
        if self._thread.ident is not None:  # it was started at all
            self._thread.join(timeout=2 * PULSE_SECONDS)

    def _run(self) -> None:
        while not self._stopped:
            self._next.clear()
            for beat in self._inside:
                _try(beat)
            for beat in self._beats if self._begun.is_set() else ():
                _try(beat)
                self._go_on()
            if not self._stopped:
                self._next.wait(PULSE_SECONDS)


def _try(beat: Callable[[], None]) -> None:
    try:
        beat()
    except RotatorError as error:
        _log.warning(Event.PULSE_FAILED, error=error.what, hint=error.hint)
    except Exception as error:  # noqa: BLE001 - the thread's border: without a pulse a worker that works counts as gone
        _log.exception(Event.ERROR_UNCAUGHT, kind=type(error).__name__)
