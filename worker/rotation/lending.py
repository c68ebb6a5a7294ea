"""A thread that works for one account and has to do something on another: it counts as that one's meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass


@dataclass(slots=True)
class Lent:
    """``free``: the other account has room for the thread. ``back``, at the end: its own has room for it again."""

    free: bool = True
    back: bool = True


Lend = Callable[[str], AbstractContextManager[Lent]]
"""Has the thread count as that account's for a while."""


def freely(account: str) -> AbstractContextManager[Lent]:  # noqa: ARG001 - whichever it is
    """Where nobody counts threads."""
    return nullcontext(Lent())
