"""Telling a program that the file it reads its key from has changed: a signal, or a command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker.errors import AppNotTold, UsageError

LONGEST = 60.0
"""Seconds that a command may take: other files wait meanwhile."""
_PID = re.compile(r"[0-9]{1,10}")


class Tell(Protocol):
    """One way to tell a program; a value, so that it can be compared and shown."""

    def tell(self) -> None:
        """Do it. Raises AppNotTold."""
        ...


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal to the process whose number is in a file.

    Where there is no such file or process it is not told: it will read its key as it starts.
    """

    number: signal.Signals
    pid_file: Path

    def tell(self) -> None:
        """See :class:`Tell`."""
        try:
            text = self.pid_file.read_text("ascii")[:64]
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise self._failed((isinstance(error, OSError) and error.strerror) or "it holds no number") from None
        found = _PID.fullmatch(text.strip())
        if not found or int(found[0]) <= 1:
            raise self._failed("it holds no number of a process")
        try:
            os.kill(int(found[0]), self.number)
        except ProcessLookupError:
            return
        except (OSError, OverflowError) as error:
            raise self._failed((isinstance(error, OSError) and error.strerror) or "no such number") from None

    def _failed(self, why: str) -> AppNotTold:
        return AppNotTold(
            f"the process of {self.pid_file} was not sent {self.number.name}: {why}",
            hint="Check --pid-file, and that this user may send it signals. It is tried again at the next look.",
        )


@dataclass(frozen=True, slots=True)
class Command:
    """A command, without a shell; what it prints goes to stderr."""

    words: tuple[str, ...]

    def tell(self) -> None:
        """See :class:`Tell`."""
        try:
            done = subprocess.run(self.words, stdin=subprocess.DEVNULL, stdout=2, timeout=LONGEST, check=False)  # noqa: S603 - the operator's own
        except (OSError, ValueError) as error:
            raise self._failed((isinstance(error, OSError) and error.strerror) or "it holds a null byte") from None
        except subprocess.TimeoutExpired:
            raise self._failed(f"it was ended after {LONGEST:.0f} s") from None
        if done.returncode:
            raise self._failed(f"its exit code is {done.returncode}")

    def _failed(self, why: str) -> AppNotTold:
        return AppNotTold(
            f"the command {self.words[0]} of --exec failed: {why}",
            hint="The file is written. The command is tried again at the next look.",
        )


def signal_named(name: str) -> signal.Signals:
    """``HUP`` or ``SIGHUP``. Raises UsageError."""
    found = name.upper().removeprefix("SIG")
    try:
        return signal.Signals[f"SIG{found}"]
    except KeyError:
        raise UsageError(f"{name[:32]!r} is no signal", hint="Such as HUP, USR1 or TERM.") from None
