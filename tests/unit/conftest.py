from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
import structlog

from worker.logs.records import QUIET


@pytest.fixture
def log_stream() -> Iterator[io.StringIO]:
    """A stream that logs may go to; what was set up before comes back afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, logging.raiseExceptions)
    levels = {name: logging.getLogger(name).level for name in QUIET}
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning)
    yield io.StringIO()
    root.handlers[:], root.level, logging.raiseExceptions = before
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks
    logging.captureWarnings(capture=False)
    structlog.contextvars.clear_contextvars()
