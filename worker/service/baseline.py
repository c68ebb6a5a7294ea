"""The note of how many keys of an account are foreign is there before the first is made: one worker of all makes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from worker.adapters.redis.turn import Turn
from worker.clock import Clock
from worker.errors import RecordDeleted
from worker.events import Event
from worker.rotation.baseline import Counting, ensure_baseline, foreign_of
from worker.rotation.services import Services
from worker.targets.account import logged
from worker.targets.target import Target

WAIT_SECONDS = 1.0
"""So long a thread waits for another one of its process; with few records the note is made by then."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Baseline:
    """What a process knows of the note of one account. A look that makes no key never asks."""

    account: str
    turn: Turn
    _known: bool = False
    _not_before: float = float("-inf")
    _turned_away_until: float = float("-inf")
    _counting: Counting = field(default_factory=Counting)
    _one_thread: threading.Lock = field(default_factory=threading.Lock)

    def turns_away(self, clock: Clock) -> bool:
        """Whether a look was turned away less than a tick ago, because another thread or worker counts."""
        return clock.monotonic() < self._turned_away_until

    def allows_create(self, services: Services, targets: Mapping[str, Target]) -> bool:
        """Whether a key may be made: the note is there, or HostUp does not tell how many keys there are.

        HostUp is then asked again after a tick. Raises VaultError; the next call goes on where this one stopped.
        """
        if self._is_settled(services.clock):
            return True
        allowed = False
        if self._one_thread.acquire(timeout=WAIT_SECONDS):
            try:
                allowed = self._is_settled(services.clock) or self._see_to_it(services, targets)
            finally:
                self._one_thread.release()
        self._turned_away_until = float("-inf") if allowed else _in_a_tick(services)
        return allowed

    def _is_settled(self, clock: Clock) -> bool:
        return self._known or clock.monotonic() < self._not_before

    def _see_to_it(self, services: Services, targets: Mapping[str, Target]) -> bool:
        turn = self.turn
        try:
            self._known = foreign_of(services, self.account) is not None
            if self._known:
                return True
            if not turn.take(services.clock, services.policy.lease):
                return False
            foreign = ensure_baseline(
                services,
                targets,
                self._counting,
                lambda *_: turn.renew(services.clock, services.policy.lease),
                self.account,
            )
        except RecordDeleted as error:
            # rotations go on, since only the audit needs it
            _log.error(Event.BASELINE_LOST, **error.fields(), **logged(self.account))
            self._known = True
            return True
        turn.leave()
        self._counting = Counting()
        self._known = foreign is not None
        if self._known:
            _log.info(Event.BASELINE_NOTED, foreign=foreign, **logged(self.account))
        else:
            self._not_before = _in_a_tick(services)
        return True


class Baselines:
    """Of each account its :class:`Baseline`: one that does not answer holds up no other."""

    def __init__(self) -> None:
        self._known: dict[str, Baseline] = {}
        self._lock = threading.Lock()

    def of(self, account: str, turn: Callable[[str], Turn]) -> Baseline:
        """That of an account; ``turn`` makes a share in Redis for the first call."""
        with self._lock:
            if account not in self._known:
                self._known[account] = Baseline(account, turn(account))
            return self._known[account]

    def turning_away(self, clock: Clock) -> frozenset[str]:
        """The accounts that a look was turned away from less than a tick ago."""
        with self._lock:
            known = tuple(self._known.values())
        return frozenset(each.account for each in known if each.turns_away(clock))


def _in_a_tick(services: Services) -> float:
    return services.clock.monotonic() + services.policy.tick.total_seconds()
