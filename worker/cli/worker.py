"""``rotator worker``: the service."""

from __future__ import annotations

import os
import sys

from worker.cli.options import Options
from worker.errors import RotatorError
from worker.service.worker import run
from worker.settings.environment import Need


def worker(options: Options, concurrency: int | None, *, beat: bool) -> int:
    """Work until SIGTERM or SIGINT; the exit code of the service. Raises RotatorError where it could say nothing."""
    _see_that_stdout_is_open()
    return run(options.settings(Need.HOSTUP | Need.VAULT), concurrency, beat=beat, json_logs=options.as_json)


def _see_that_stdout_is_open() -> None:
    """A worker logs there; what is tried is to write nothing at all."""
    try:
        os.write(sys.stdout.fileno(), b"")
    except (OSError, ValueError):
        hint = "Start the worker with a stdout that can be written, even if that is /dev/null."
        raise RotatorError("stdout is closed, and a worker logs there", hint=hint) from None
