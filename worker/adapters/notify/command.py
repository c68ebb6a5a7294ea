"""Notices for a program: run without a shell, the notice as JSON on its standard input.

A worker that is killed can end nothing, so two of the system's own tools do, where it has them: setpriv(1) has the
kernel tell timeout(1) that the worker is gone, and that ends the program with all that it started.
"""

from __future__ import annotations

import atexit
import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from worker.errors import NotDelivered
from worker.notices.notice import Notice

HARMLESS = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"),  # kubectl in a pod finds its cluster by them
)
"""What is handed on of the environment, which holds the worker's own secrets."""

_MERCY = "2"
"""Seconds between SIGTERM and SIGKILL for a program whose worker is gone."""


@dataclass(frozen=True, slots=True)
class CommandWay:
    """Runs the program for each notice; exit code 0 says that it is delivered. What it prints goes nowhere.

    ``guard`` is what stands before its words, see :func:`guard_of`.
    """

    words: tuple[str, ...]
    environment: Mapping[str, str]
    timeout: float
    guard: tuple[str, ...] = ()

    def deliver(self, notice: Notice) -> None:
        """See :class:`worker.notices.notice.Way`."""
        try:
            self._see_that_it_can_be_run()
            child = subprocess.Popen(  # noqa: S603 - the operator's own
                (*self.guard, *self.words),
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

    def _see_that_it_can_be_run(self) -> None:
        """Raises OSError: what stands before it would end with a number only."""
        if not os.access(self.words[0], os.X_OK):
            number = errno.EACCES if Path(self.words[0]).exists() else errno.ENOENT
            raise OSError(number, os.strerror(number))

    def _failed(self, why: str) -> NotDelivered:
        return NotDelivered(f"the program {self.words[0]} {why}", hint="Run it by hand, with a notice on its input.")


def handed_on(environment: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """What a program is given: what is harmless, and what was named."""
    return {name: environment[name] for name in (*HARMLESS, *names) if name in environment}


def guard_of(timeout: float) -> tuple[str, ...]:
    """What has a program end with its worker, however that ends; nothing where this system lacks one of both tools."""
    setpriv, limit = shutil.which("setpriv"), shutil.which("timeout")
    if setpriv is None or limit is None:
        return ()
    words = (setpriv, "--pdeathsig", "TERM", "--", limit, "-k", _MERCY, f"{timeout + 1:.0f}")
    try:  # one of another make may not know these options
        subprocess.run((*words, "true"), check=True, capture_output=True, timeout=timeout)  # noqa: S603 - found above
    except (OSError, subprocess.SubprocessError):
        return ()
    return words


def _end(child: subprocess.Popen[bytes]) -> None:
    """With all that it started, where it has not ended by itself."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
