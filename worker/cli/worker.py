"""``rotator worker``: the service."""

from __future__ import annotations

import io
import os
import sys

from worker.cli.options import Options
from worker.errors import RotatorError
from worker.service.worker import run
from worker.settings.environment import Need


def worker(options: Options, concurrency: int | None, *, beat: bool) -> int:
    """Work until SIGTERM or SIGINT; the exit code of the service. Raises RotatorError where it could say nothing."""
    settings = options.settings(Need.HOSTUP | Need.VAULT | Need.NOTICES)
    _see_that_stdout_is_open()
    return run(settings, concurrency, beat=beat, json_logs=options.as_json)


def _see_that_stdout_is_open() -> None:
    """A worker logs there; what is tried is to write nothing at all."""
    try:
        os.write(sys.stdout.fileno(), b"")
    except io.UnsupportedOperation:
        return  # it is no file: whoever calls this within a program sees to it
    except (OSError, ValueError):
        hint = "Start the worker with a stdout that can be written, even if that is /dev/null."
        raise RotatorError("stdout is closed, and a worker logs there", hint=hint) from None
