"""The service's own parts in this process: what a worker's threads work with, without Celery around them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.stage import Stage
from worker.logs import setup
from worker.logs.redaction import Redactor
from worker.service.assemble import Runtime, build
from worker.settings.environment import Need
from worker.settings.settings import load


@contextmanager
def runtime_of(stage: Stage) -> Iterator[Runtime]:
    """Everything built from the stage's configuration; what is logged is rendered as in service and thrown away."""
    settings = load(None, stage.environment(), Need.HOSTUP | Need.VAULT)
    redactor = Redactor(settings.secrets())
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        setup.configure("json", nowhere, redactor)
        runtime = build(settings, redactor)
        try:
            yield runtime
        finally:
            runtime.close()


def send_nothing(*_: object, **__: object) -> None:
    """Stands in for Celery's ``send_task``."""
