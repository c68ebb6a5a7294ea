"""All that the workers share in Redis, on one connection."""

from __future__ import annotations

from dataclasses import dataclass, field

import redis

from worker.adapters.redis.circuit import Circuit
from worker.adapters.redis.deliveries import Deliveries
from worker.adapters.redis.due import DueSet
from worker.adapters.redis.index import Index
from worker.adapters.redis.locks import TargetLocks
from worker.adapters.redis.notes import Notes
from worker.adapters.redis.repair import Repairs
from worker.adapters.redis.requests import PendingRequests
from worker.adapters.redis.turn import Turn
from worker.adapters.redis.watches import Watches
from worker.adapters.redis.workers import Heartbeats


@dataclass(frozen=True, slots=True)
class SharedState:
    """What the workers share. It may be lost at any time: the truth is in Vault."""

    client: redis.Redis = field(repr=False)
    due: DueSet
    locks: TargetLocks
    requests: PendingRequests
    heartbeats: Heartbeats
    index: Index
    watches: Watches
    circuit: Circuit
    repairs: Repairs
    turn: Turn
    notes: Notes
    deliveries: Deliveries


def shared_state(client: redis.Redis) -> SharedState:
    """Everything on that client, which connects at first use."""
    return SharedState(
        client,
        DueSet(client),
        TargetLocks(client),
        PendingRequests(client),
        Heartbeats(client),
        Index(client),
        Watches(client),
        Circuit(client),
        Repairs(client),
        Turn(client),
        Notes(client),
        Deliveries(client),
    )
