"""Notices for a program: run without a shell, the notice as JSON on its standard input."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from worker.errors import NotDelivered
from worker.notices.notice import Notice

HARMLESS = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"),  # kubectl in a pod finds its cluster by them
)
"""What is handed on of the environment, which holds the worker's own secrets."""


@dataclass(frozen=True, slots=True)
class CommandWay:
    """Runs the program for each notice; exit code 0 says that it is delivered. What it prints goes nowhere."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    timeout: float

    def deliver(self, notice: Notice) -> None:
        """See :class:`worker.notices.notice.Way`."""
        try:
            child = subprocess.Popen(  # noqa: S603 - the operator's own
                self.words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=dict(self.environment),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = (isinstance(error, OSError) and error.strerror) or "it holds a null byte"
            raise self._failed(f"cannot be run: {why}") from None
        ending = partial(_end, child)
        atexit.register(ending)  # who ends while it runs must not leave it behind: this thread ends without a word
        with child:
            try:
                child.communicate(notice.body(), timeout=self.timeout)
            except subprocess.TimeoutExpired:
                raise self._failed(f"was ended after {self.timeout:.0f} s") from None
            finally:
                _end(child)
                atexit.unregister(ending)
        if child.returncode:
            raise self._failed(f"ended with {child.returncode}")

    def _failed(self, why: str) -> NotDelivered:
        return NotDelivered(f"the program {self.words[0]} {why}", hint="Run it by hand, with a notice on its input.")


def handed_on(environment: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """What a program is given: what is harmless, and what was named."""
    return {name: environment[name] for name in (*HARMLESS, *names) if name in environment}


def _end(child: subprocess.Popen[bytes]) -> None:
    """With all that it started, where it has not ended by itself."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
