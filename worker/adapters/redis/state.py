"""All that the workers share in Redis, on one connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import redis

from worker.adapters.redis.circuit import Circuit, HeldCalls
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
from worker.targets.account import DEFAULT_ACCOUNT


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
    repairs: Repairs
    notes: Notes
    deliveries: Deliveries
    accounts: tuple[str, ...] = (DEFAULT_ACCOUNT,)

    def circuit(self, account: str = DEFAULT_ACCOUNT) -> Circuit:
        """The circuit and the pauses of an account."""
        return Circuit(self.client, account)

    def turn(self, account: str = DEFAULT_ACCOUNT) -> Turn:
        """A share in noting how many keys of an account are foreign; one for a process."""
        return Turn(self.client, account)

    def held(self, now: datetime) -> tuple[HeldCalls, ...]:
        """The calls that are held back, of each account. Raises QueueUnavailable."""
        return tuple(held for account in self.accounts for held in self.circuit(account).held(now))


def shared_state(client: redis.Redis, accounts: Iterable[str] = (DEFAULT_ACCOUNT,)) -> SharedState:
    """Everything on that client, which connects at first use, of these accounts."""
    names = tuple(accounts)
    return SharedState(
        client,
        DueSet(client),
        TargetLocks(client),
        PendingRequests(client),
        Heartbeats(client),
        Index(client),
        Watches(client),
        Repairs(client, names),
        Notes(client),
        Deliveries(client),
        names,
    )
