"""Going on until something that must not be lost is written: the one loop for that."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from worker.clock import Clock
from worker.errors import VaultError, VaultTooLarge
from worker.events import Event

PAUSE_FIRST = 0.2
PAUSE_LONGEST = 5.0
"""Seconds between tries."""

T = TypeVar("T")


def until_written(
    write: Callable[[], T],
    clock: Clock,
    target: str,
    *,
    patience: float = math.inf,
    tried_again: type[VaultError] = VaultError,
) -> T:
    """What ``write`` gives, once it does; an error that is ``tried_again`` is logged, and the write is repeated.

    Raises that error after ``patience`` seconds, and any other at once; VaultTooLarge, too, which no repeating changes.
    """
    pause = PAUSE_FIRST
    give_up = clock.monotonic() + patience
    while True:
        try:
            return write()
        except VaultTooLarge:
            raise
        except tried_again as error:
            if clock.monotonic() > give_up:
                raise
            _log_retry(target, error)
        clock.sleep(pause)
        pause = min(pause * 2, PAUSE_LONGEST)


def _log_retry(target: str, error: VaultError) -> None:
    import structlog  # noqa: PLC0415 - loading it takes longer than `rotator status TARGET` may take

    structlog.get_logger(__name__).warning(Event.RECORD_WRITE_RETRIED, target=target, error=str(error))
