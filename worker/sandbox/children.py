"""Child processes of the sandbox: started, waited for, and ended by their pid; none outlives its parent."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.errors import RotatorError
from worker.sandbox import guard
from worker.sandbox.files import append_private

START_SECONDS = 60.0
END_SECONDS = 10.0
_LOOK = 0.02
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
"""All that a child gets of our environment: tokens and addresses of other servers are none of its business."""

MODULE = (sys.executable, "-P", "-m")
"""Runs a module of ours. Without -P Python looks for modules in the working directory first, which may be anybody's."""


def spawn(command: Sequence[str], log: Path, *, given: str = "", read: bool = False) -> subprocess.Popen[bytes]:
    """Start a command whose errors (and output, unless it is to be ``read``) go to ``log`` (mode 0600).

    ``given`` is its standard input. On Linux it is killed when the thread that called this ends, so call it from the
    main thread. It does not get the terminal's Ctrl-C. Raises OSError.
    """
    guarded = [sys.executable, "-I", "-S", str(Path(guard.__file__)), str(os.getpid()), *command]
    environment = {name: value for name in _PASSED_ON if (value := os.environ.get(name)) is not None}
    with append_private(log) as output:
        child = subprocess.Popen(  # noqa: S603 - commands of this package only
            guarded,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if read else output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    if child.stdin:
        child.stdin.write(given.encode())
        child.stdin.close()
    return child


def end(child: subprocess.Popen[bytes]) -> None:
    """End a child: SIGTERM, after 10 s SIGKILL. One that has ended already is only reaped."""
    child.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(END_SECONDS)
    kill(child)


def kill(child: subprocess.Popen[bytes]) -> None:
    """SIGKILL a child, unless it has ended, and reap it."""
    child.kill()
    child.wait()
    if child.stdout:
        child.stdout.close()


def wait_until(holds: Callable[[], bool], what: str, child: subprocess.Popen[bytes], log: Path) -> None:
    """Look again and again until it holds. Raises RotatorError when the child ends first, or after 60 s."""
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        if child.poll() is not None:
            raise RotatorError(f"{what} ended with status {child.returncode} at its start", hint=f"See {log}.")
        if time.monotonic() > deadline:
            raise RotatorError(f"{what} did not answer within {START_SECONDS:.0f} s", hint=f"See {log}.")
        time.sleep(_LOOK)


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
