"""How many threads of a process may work for one account, so that one that is slow never takes them all.

A thread may wait long for an account: for a place for its create, for HostUp, for the object storage. So each account
has one thread that no other may take.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from worker.rotation.lending import Lent
from worker.targets.account import DEFAULT_ACCOUNT


@dataclass(slots=True)
class Bulkhead:
    """Places for looks. With one account there is nothing to hold apart, and everybody finds room."""

    accounts: tuple[str, ...] = (DEFAULT_ACCOUNT,)
    _taken: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def place(self, account: str, threads: int) -> Iterator[bool]:
        """Take a place for a look of this account; False where what is free is another's."""
        with self._lock:
            free = self._has_room(account, threads)
            self._taken[account] += free
        try:
            yield free
        finally:
            with self._lock:
                self._taken[account] -= free

    @contextmanager
    def lent(self, own: str, other: str, threads: int) -> Iterator[Lent]:
        """Have a place of one account be one of another meanwhile.

        It comes back in any case, as its thread goes on for a moment; see :class:`Lent` for whether it may for longer.
        """
        with self._lock:
            self._taken[own] -= 1
            lent = Lent(self._has_room(other, threads))
            held = other if lent.free else own
            self._taken[held] += 1
        try:
            yield lent
        finally:
            with self._lock:
                self._taken[held] -= 1
                lent.back = held == own or self._has_room(own, threads)
                self._taken[own] += 1

    def full(self, threads: int) -> frozenset[str]:
        """The accounts for which there is no room now."""
        with self._lock:
            return frozenset(account for account in self.accounts if not self._has_room(account, threads))

    def _has_room(self, account: str, threads: int) -> bool:
        """The first place of each account is its own; all others leave so many free as accounts have none."""
        if len(self.accounts) <= 1 or not self._taken[account]:
            return True
        waiting = sum(1 for other in self.accounts if not self._taken[other])
        return self._taken.total() + 1 + waiting <= threads
