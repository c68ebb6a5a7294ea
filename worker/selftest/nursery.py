"""Real worker processes, many of them and at once: forked from one process that has loaded everything.

A worker loads for more than a second before it does anything. Trials that kill a worker at each of its steps would
spend all their time on that, so one process loads once, and each worker is a fork of it: a process of its own, with
its own pid to kill, which runs the same :func:`worker.service.worker.serve` that ``rotator worker`` runs.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from worker.errors import RotatorError
from worker.sandbox import guard
from worker.sandbox.children import END_SECONDS, MODULE, end
from worker.sandbox.files import append_private, open_private

_LOOK = 0.01


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """A worker that runs, or ran; its log is a file of JSON lines, and what it wrote to stderr lies beside it."""

    pid: int
    log: Path

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended takes none."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop(self) -> None:
        """End it in good order, or after 10 s with SIGKILL."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if not self.ended(END_SECONDS):
            self.kill()

    def kill(self) -> None:
        """Kill -9. Raises RotatorError when it does not end."""
        self.signal(signal.SIGKILL)
        if not self.ended(END_SECONDS):
            raise RotatorError(f"process {self.pid} does not end", hint="See it with `ps`.")

    def ended(self, seconds: float) -> bool:
        """Whether it ends within so many seconds."""
        until = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK)
        return True


class Nursery:
    """Starts workers; to be made, as all children of the sandbox, in the main thread. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid())]
        command += [*MODULE, "worker.selftest.nursery"]
        self._lock = threading.Lock()
        self._folder = folder
        with append_private(folder / "nursery.log") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a command of this package only
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )

    def start(self, environment: Mapping[str, str], log: Path, *, concurrency: int, beat: bool) -> WorkerProcess:
        """Start a worker with this environment and no other. Raises RotatorError."""
        order = {"environment": dict(environment), "log": str(log), "concurrency": concurrency, "beat": beat}
        with self._lock:
            if self._process.stdin is None or self._process.stdout is None:
                raise RotatorError("no worker can be started", hint="The nursery has no pipes.")
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        if not line:
            raise RotatorError("no worker can be started", hint=f"See {self._folder / 'nursery.log'}.")
        return WorkerProcess(int(line), log)

    def stop(self) -> None:
        """End it, and with it every worker that is left; may be called twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        end(self._process)

    def __enter__(self) -> Self:
        """Run within a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def main() -> None:
    """Load everything, then start a worker for each line of standard input, and print its pid."""
    import worker.adapters.s3.probe  # noqa: PLC0415
    import worker.service.worker  # noqa: F401, PLC0415 - loaded once, for all that are forked

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that end are not waited for
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become(order: Mapping[str, object]) -> None:
    """Be the worker, and end as it ends."""
    status = 70
    try:
        _set_up(Path(str(order["log"])), dict(order["environment"]))  # type: ignore[call-overload]  # it is a dict
        status = _work(int(str(order["concurrency"])), beat=order["beat"] is True)
    finally:
        os._exit(status)


def _set_up(log: Path, environment: Mapping[str, str]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(guard.PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    for number, file in ((1, log), (2, log.with_suffix(".err"))):
        os.dup2(open_private(file), number)


def _work(concurrency: int, *, beat: bool) -> int:
    from worker.service.worker import run  # noqa: PLC0415
    from worker.settings.settings import Need, load  # noqa: PLC0415

    return run(load(None, os.environ, Need.HOSTUP | Need.VAULT), concurrency, beat=beat)


if __name__ == "__main__":
    main()
