"""``python -m tests.acceptance.shifted_worker FILE``: a worker on a machine whose clock is wrong.

By so many seconds as the file says, which may be changed while it works.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

from worker.clock import SystemClock, WitnessedClock
from worker.logs import setup
from worker.logs.redaction import Redactor
from worker.service.assemble import build
from worker.service.worker import serve
from worker.settings.settings import load


def shift(file: Path, seconds: int) -> None:
    """From now on the clock of the worker with this file is wrong by so much."""
    fresh = file.with_suffix(".new")
    fresh.write_text(str(seconds))
    fresh.replace(file)


class ShiftedClock(SystemClock):
    """The machine's clock, wrong by what a file says; the monotonic clock is right, as it is on real machines."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=float(self._file.read_text() or 0))


def main() -> int:
    settings = load(None, os.environ)
    redactor = Redactor(settings.secrets())
    setup.configure("json", sys.stdout, redactor)
    clock = WitnessedClock(ShiftedClock(Path(sys.argv[1])))
    return serve(build(settings, redactor, clock), settings.worker.concurrency, beat="--no-beat" not in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
