"""Runs a command that dies with the process that asked for it: ``guard.py PARENT-PID COMMAND [ARGUMENT...]``.

A small program that asks the kernel for a signal at its parent's death and then becomes the command. (Asking between
fork and exec, by ``preexec_fn``, is not safe in a process with threads.) Where the kernel is not Linux the command
is only run.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str]) -> None:
    """Become the command; raises OSError when there is none."""
    parent, *command = arguments
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # a blocked SIGTERM would be inherited
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):
            raise SystemExit(1)  # it died before we could ask
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
