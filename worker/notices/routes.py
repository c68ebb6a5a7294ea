"""Who is told what, and how long a channel that fails is tried. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.notices.notice import Kind, Notice
from worker.targets.backoff import Backoff

GIVE_UP_AFTER = timedelta(days=1)
"""A notice that could not be delivered for so long is dropped."""

_BACKOFF = Backoff(timedelta(seconds=5), timedelta(hours=1))


@dataclass(frozen=True, slots=True)
class Route:
    """Which notices a channel takes: of these events, and, where targets or owners are named, of those targets only."""

    events: frozenset[str]
    targets: frozenset[str] = frozenset()
    owners: frozenset[str] = frozenset()

    def takes(self, notice: Notice) -> bool:
        """Whether a notice goes this way."""
        if notice.event is Kind.TEST:
            return True
        if notice.event not in self.events:
            return False
        return not (self.targets or self.owners) or notice.target in self.targets or notice.owner in self.owners


def next_try(tries: int, since: datetime, now: datetime, notice_id: str) -> datetime | None:
    """When to try again after so many tries that failed, the first at ``since``; None: it is given up."""
    at = now + _BACKOFF.delay(tries, notice_id)
    return at if at < since + GIVE_UP_AFTER else None
