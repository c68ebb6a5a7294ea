"""``rotator worker``: the service."""

from __future__ import annotations

from worker.cli.options import Options
from worker.service.worker import run
from worker.settings.environment import Need


def worker(options: Options, concurrency: int | None, *, beat: bool) -> int:
    """Work until SIGTERM or SIGINT; the exit code of the service."""
    return run(
        options.settings(Need.HOSTUP | Need.VAULT | Need.NOTICES), concurrency, beat=beat, json_logs=options.as_json
    )
