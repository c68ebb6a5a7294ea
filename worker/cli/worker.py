"""``rotator worker``: the service."""

from __future__ import annotations

import sys

from celery.signals import setup_logging

from worker import logs
from worker.cli.given import Given
from worker.environment import Need
from worker.redaction import Redactor
from worker.runtime import build
from worker.service import serve


def worker(given: Given, concurrency: int | None, *, beat: bool) -> int:
    """Work until SIGTERM or SIGINT; the exit code of the service."""
    settings = given.settings(Need.HOSTUP | Need.VAULT)
    redactor = Redactor(settings.secrets())
    logs.configure("json" if given.as_json else logs.mode_for(sys.stdout), sys.stdout, redactor)
    logs.take_over(setup_logging)
    logs.catch_uncaught()
    return serve(build(settings, redactor), concurrency or settings.worker.concurrency, beat=beat)
