"""Times in which nothing is begun that nobody asked for, as the configuration names them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, order=True)
class Freeze:
    """From ``begins`` on and before ``ends``; ``reason`` is for people."""

    begins: datetime
    ends: datetime
    reason: str

    def holds(self, moment: datetime) -> bool:
        """Whether the moment is in it."""
        return self.begins <= moment < self.ends

    def __str__(self) -> str:
        """Until when, and why."""
        return f"a freeze until {self.ends.isoformat(timespec='seconds')} ({self.reason})"


def freeze_at(freezes: Iterable[Freeze], moment: datetime) -> Freeze | None:
    """The freeze that a moment is in; of several the one that ends last."""
    return max((each for each in freezes if each.holds(moment)), key=lambda each: each.ends, default=None)


def thawed(freezes: Iterable[Freeze], moment: datetime) -> datetime:
    """The moment, or where it is in a freeze the end of that, and of those that follow without a gap."""
    known = tuple(freezes)
    while (freeze := freeze_at(known, moment)) is not None:
        moment = freeze.ends
    return moment
