"""How long a rotation and its steps took, as a port: nothing here knows who collects it, or whether anybody does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

ROTATION = "rotation"
"""The name of the span of a rotation as a whole; all others are named after the step."""

DONE, POSTPONED, SUPERSEDED, INTERRUPTED = "done", "postponed", "superseded", "interrupted"
"""Outcomes of a step; it may also have failed. What was interrupted by an error goes on with the next look."""


@dataclass(frozen=True, slots=True)
class Span:
    """A rotation as a whole, or one step of it. Nothing in here is a secret or an access key.

    ``request_ids`` are those of HostUp's answers that were put on record meanwhile.
    """

    name: str
    target: str
    rotation_id: str
    began: datetime
    ended: datetime
    outcome: str
    account: str
    trigger: str = ""
    request_ids: tuple[str, ...] = ()


class Spans(Protocol):
    """Takes what came to its end; returns at once and never raises."""

    def took(self, span: Span) -> None:
        """A rotation, or a step of one, came to its end."""
        ...


class NoSpans:
    """For who collects nothing."""

    def took(self, span: Span) -> None:
        """See :class:`Spans`."""


NO_SPANS = NoSpans()
