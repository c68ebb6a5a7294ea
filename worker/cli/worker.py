"""``rotator worker``: the service."""

from __future__ import annotations

import sys

from celery.signals import setup_logging

from worker.cli.given import Given
from worker.config.environment import Need
from worker.logs import setup
from worker.logs.redaction import Redactor
from worker.runtime import build
from worker.service import serve


def worker(given: Given, concurrency: int | None, *, beat: bool) -> int:
    """Work until SIGTERM or SIGINT; the exit code of the service."""
    settings = given.settings(Need.HOSTUP | Need.VAULT)
    redactor = Redactor(settings.secrets())
    setup.configure("json" if given.as_json else setup.mode_for(sys.stdout), sys.stdout, redactor)
    setup.take_over(setup_logging)
    setup.catch_uncaught()
    return serve(build(settings, redactor), concurrency or settings.worker.concurrency, beat=beat)
