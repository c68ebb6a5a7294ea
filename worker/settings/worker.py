"""``[worker]``: how a worker works."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StrictBool, StrictInt, ValidationInfo

from worker.settings.values import STRICT, Duration, whole
from worker.targets.durations import format_duration

LONGEST_CREATE = timedelta(seconds=40)
"""Ceph was seen to take 30 s for a create (docs/facts.md, "Ceph's object gateway")."""

SHORTEST_LEASE = timedelta(seconds=3)


def _long_lease(lease: timedelta) -> timedelta:
    if lease < SHORTEST_LEASE:
        raise ValueError(f"is too short; at least {format_duration(SHORTEST_LEASE)} are needed to take over safely")
    return lease


def _tick_within_lease(tick: timedelta, info: ValidationInfo) -> timedelta:
    lease = info.data.get("lease", tick)
    if tick > lease:
        raise ValueError(f"is longer than lease ({format_duration(lease)}); at most that is allowed")
    return tick


class WorkerSettings(BaseModel):
    """``[worker]``. ``verify_within``: how long a new key may take to spread; ``dead_within``: a deleted one to die.

    ``messages_per_hour``: how many rotations of a target messages may ask for; a person may ask for any number.
    ``leaked_by_message``: whether a message may say that a key leaked, so that the old one is deleted without grace.
    """

    model_config = STRICT

    concurrency: Annotated[StrictInt, whole(1, 256)] = 8
    messages_per_hour: Annotated[StrictInt, whole(1, 3600)] = 3
    leaked_by_message: StrictBool = False
    # above tick, which is held against it
    lease: Annotated[Duration, AfterValidator(_long_lease)] = timedelta(minutes=2)
    tick: Annotated[Duration, AfterValidator(_tick_within_lease), Field(validate_default=True)] = timedelta(seconds=5)
    audit_every: Duration = timedelta(hours=1)
    watch_every: Duration = timedelta(minutes=10)
    verify_within: Duration = timedelta(minutes=2)
    dead_within: Duration = timedelta(minutes=20)

    @property
    def create_deadline(self) -> timedelta:
        """How long one create may take as a whole: well inside the lease."""
        return min(LONGEST_CREATE, self.lease / 3)
