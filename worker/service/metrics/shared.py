"""What all workers share, as text: read from Redis alone, kept for a few seconds, made by one thread at a time."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime

from worker.adapters.redis.circuit import EVERY_CALL
from worker.adapters.redis.state import SharedState
from worker.clock import Clock, moment
from worker.errors import QueueUnavailable
from worker.service.metrics.facts import TargetFacts, facts_of
from worker.service.metrics.series import AccountFacts, Sample, ScheduleFacts, samples, shared_text
from worker.settings.settings import Settings

KEPT_SECONDS = 5.0
"""Two that scrape at about the same time get the same text; a scrape costs Redis something at most so often."""

PATIENCE_SECONDS = 2.0
"""How long one waits for another who reads; after that the text of before will do."""


class SharedMetrics:
    """The text of :mod:`.series`. Where Redis is away it is the one of before: moments tell how old it is."""

    def __init__(self, settings: Settings, shared: SharedState, clock: Clock) -> None:
        self._settings = settings
        self._shared = shared
        self._clock = clock
        self._lock = threading.Lock()
        self._text = ""
        self._made = -math.inf

    def text(self) -> str:
        """What is known now, or was a few seconds ago; empty where Redis was away from the beginning."""
        if self._lock.acquire(timeout=PATIENCE_SECONDS):
            try:
                self._make_anew()
            finally:
                self._lock.release()
        return self._text

    def samples(self) -> Iterable[Sample]:
        """The same, read now. Raises QueueUnavailable."""
        now = self._clock.now()
        targets = self._targets(now)
        accounts = [self._account(name, now) for name in self._settings.accounts]
        return samples(accounts, self._schedule(now), targets, self._shown(targets, now.timestamp()))

    def _make_anew(self) -> None:
        now = self._clock.monotonic()
        if now - self._made >= KEPT_SECONDS:
            with suppress(QueueUnavailable):  # `/readyz` and the log say so
                self._text = self._read(self._clock.now())
            self._made = self._clock.monotonic()

    def _read(self, now: datetime) -> str:
        targets = self._targets(now)
        accounts = [self._account(name, now) for name in self._settings.accounts]
        return shared_text(accounts, self._schedule(now), targets, self._shown(targets, now.timestamp()))

    def _targets(self, now: datetime) -> list[TargetFacts]:
        configured, shared = self._settings.targets, self._shared
        summaries, living = shared.index.summaries_of(configured), shared.watches.last_seen_living(configured)
        circuits = map(shared.circuit, self._settings.accounts)
        parked = {name for circuit in circuits for name in circuit.turned_away(configured)}
        return [
            facts_of(target, summaries.get(name), living.get(name), now, turned_away=name in parked)
            for name, target in configured.items()
        ]

    def _shown(self, targets: Iterable[TargetFacts], now: float) -> Iterable[TargetFacts]:
        match self._settings.metrics.targets:
            case "all":
                return targets
            case "troubled":
                return [target for target in targets if target.is_troubled(now)]
            case _:
                return ()

    def _schedule(self, now: datetime) -> ScheduleFacts:
        last_tick = self._shared.notes.last_tick(now)
        return ScheduleFacts(self._shared.due.due(now), last_tick.timestamp() if last_tick else None)

    def _account(self, name: str, now: datetime) -> AccountFacts:
        shared = self._shared
        audit = shared.notes.last_audit(name)
        in_vault = self._settings.accounts[name].hostup.api_key_path is not None
        api_key = shared.notes.api_key(name) if in_vault else None
        return AccountFacts(
            account=name,
            circuit_open=any(held.operation == EVERY_CALL for held in shared.circuit(name).held(now)),
            last_audit=_seconds(audit.counted_at or audit.at) if audit else None,
            counted=audit.counted if audit else None,
            explained=audit.explained if audit else None,
            foreign=audit.foreign if audit else None,
            findings=audit.findings if audit else {},
            api_key_made=_seconds(api_key.made_at) if api_key else None,
            api_key_rolled_next=_seconds(api_key.roll_at) if api_key else None,
            api_key_waits=api_key.needs_person if api_key else None,
        )


def _seconds(at: str | None) -> float | None:
    known = moment(at)
    return known.timestamp() if known else None
