"""``rotator worker``: the service."""

from __future__ import annotations

from worker.cli.given import Given
from worker.service.worker import run
from worker.settings.environment import Need


def worker(given: Given, concurrency: int | None, *, beat: bool) -> int:
    """Work until SIGTERM or SIGINT; the exit code of the service."""
    return run(given.settings(Need.HOSTUP | Need.VAULT), concurrency, beat=beat, json_logs=given.as_json)
