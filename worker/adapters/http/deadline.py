"""How long a call may take as a whole: a moment that everything which is sent and read looks at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends: ContextVar[float] = ContextVar("ends")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give everything that is sent and read in here so many seconds together."""
    token = _ends.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends.reset(token)


def seconds_left() -> float:
    """What is left of the time that :func:`within` gave; negative once it is over."""
    return _ends.get() - time.monotonic()
