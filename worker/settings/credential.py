"""A secret that may stand in a file, which is read again when it changes: a renewed one needs no restart.

Whoever renews a file may be caught in the middle of it: it is gone or empty for a moment, or holds a part only. So what
cannot be used leaves the last good value in use, and a value that is refused gives way to the one before it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from worker.events import Event
from worker.secret import Secret
from worker.settings.value_file import FileState, look_at, read_value
from worker.settings.values import secret_word


def log(level: int, event: Event, **fields: str) -> None:
    """One line about a credential. structlog is loaded for it only: a command that reads a record starts without."""
    import structlog  # noqa: PLC0415 - see above

    structlog.get_logger(__name__).log(level, event, **fields)


def no_logs(secret: Secret) -> None:
    """For a process without logs: there is nothing to keep secrets out of."""


class Credential:
    """A value and the file that it was read from, if it was; may be used by many threads at once.

    ``variable`` names the file to people. ``parse`` makes the value of what the file holds, or raises ValueError.
    ``on_new`` is given each value that comes up, before anything is done with it.
    """

    def __init__(
        self,
        value: Secret,
        file: Path | None = None,
        variable: str = "",
        *,
        parse: Callable[[str], Secret] = secret_word,
        on_new: Callable[[Secret], None] = no_logs,
    ) -> None:
        self._value = value
        self._before: Secret | None = None
        self._file = file
        self._variable = variable
        self._parse = parse
        self._on_new = on_new
        self._lock = threading.Lock()
        self._seen: FileState | None = None  # so that a change since the settings were read is not missed
        self._told: str | Secret | None = None

    def current(self) -> Secret:
        """The value to use now: the file's, or the last good one of it."""
        if self._file is not None and look_at(self._file) != self._seen:
            with self._lock:
                self._read(self._file)
        return self._value

    def other_than(self, refused: Secret) -> Secret | None:
        """What to try after a refusal: what the file holds, read anew, else the value before; None: nothing else."""
        if self._file is None:
            return None
        with self._lock:
            self._read(self._file)
            if self._value == refused and self._before is not None:
                self._tell(refused, "names a file with a value that is refused")
                self._value, self._before = self._before, None
            return None if self._value == refused else self._value

    def is_rolled(self) -> bool:
        """Never: nobody but a person renews a file or a variable."""
        return False

    def _read(self, file: Path) -> None:
        """With the lock held."""
        seen = look_at(file)  # before reading: a change in between is seen next time
        try:
            value = self._parse(read_value(file))
        except ValueError as problem:
            # a file that is there is tried again each time: nothing may show when it becomes right
            self._seen = None
            self._tell(str(problem), str(problem))
            return
        self._seen = seen
        if isinstance(self._told, str):
            self._told = None
        if value == self._value:
            return
        self._on_new(value)
        self._value, self._before = value, self._value
        if value != self._told:
            log(logging.INFO, Event.CREDENTIAL_RENEWED, variable=self._variable)

    def _tell(self, about: str | Secret, problem: str) -> None:
        """Once for each kind of trouble."""
        if self._told == about:
            return
        self._told = about
        hint = "The last good value stays in use. Put the file right; it is read again by itself."
        log(
            logging.WARNING,
            Event.CREDENTIAL_KEPT,
            variable=self._variable,
            error=f"{self._variable}: {problem}",
            hint=hint,
        )
