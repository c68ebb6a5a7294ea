"""How long more is waited for: until the deadline, or no longer once what came says enough.

A response whose length is not known, or is told too large, does not end while its connection stays open. The caller of
a call that cannot be repeated says what is enough.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

A_WHILE = 0.5
"""Seconds from something new until it is looked at, and from enough until reading ends. In that time honest responses
come to their end, so most are never looked at; and however many pieces come, there are no more looks than this."""

Enough = Callable[[bytes], bool]
"""Whether all that was received of a response is enough. Never raises; its time is linear."""

_enough: ContextVar[Enough | None] = ContextVar("enough", default=None)


@contextmanager
def reading_until(enough: Enough) -> Iterator[None]:
    """Have the reading of a response that is kept end soon after it is ``enough``."""
    token = _enough.set(enough)
    try:
        yield
    finally:
        _enough.reset(token)


def patience() -> Patience:
    """That of the call that begins."""
    return Patience(_enough.get())


@dataclass(slots=True)
class Patience:
    """Of one call; ``enough`` None waits for ever."""

    enough: Enough | None
    _look_at: float = math.inf
    _ends_at: float = math.inf

    def new(self) -> None:
        """Something came."""
        if self.enough and self._look_at == math.inf:
            self._look_at = time.monotonic() + A_WHILE

    def left(self, received: bytearray | None) -> float:
        """Seconds that may be waited for more, or until the next call of this; none or fewer: what came is enough."""
        now = time.monotonic()
        if self._look_at <= now < self._ends_at:
            self._look_at = math.inf
            if self.enough and received and self.enough(bytes(received)):
                self._ends_at = min(self._ends_at, now + A_WHILE)
        return min(self._look_at, self._ends_at) - now

    @property
    def is_over(self) -> bool:
        """Whether nothing more is waited for."""
        return self._ends_at <= time.monotonic()
