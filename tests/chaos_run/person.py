"""A person who looks after the rotator: settles unconfirmed creates by what HostUp's panel shows, and nothing else."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.chaos_run.world import World, person_environment
from worker.errors import RotatorError
from worker.rotation.audit import audit
from worker.rotation.changes.settlement import Settlement, settled_create
from worker.rotation.record import UnconfirmedCreate
from worker.rotation.survey import survey
from worker.service.assemble import Runtime, build
from worker.settings.settings import load
from worker.targets.target import Target

LOOK_EVERY = 1.0

PATIENCE = timedelta(seconds=8)
"""A key that was asked for so long ago and is not in the panel is never going to be there: see weather.VERY_LATE."""


@dataclass(slots=True)
class Person:
    """Works in a thread until stopped."""

    world: World
    settled: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="person", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=60)

    def _run(self) -> None:
        runtime = build(load(None, person_environment(self.world)))
        while not self._stop.wait(LOOK_EVERY):
            for target in runtime.settings.targets.values():
                with suppress(RotatorError, OSError):  # Vault or HostUp is away, or another writer was first: later
                    self._look_at(runtime, target)

    def _look_at(self, runtime: Runtime, target: Target) -> None:
        record = runtime.services.store.load(target.name, target.path).record
        for create in record.unconfirmed_creates:
            if create.open and not self._stop.is_set():
                self._settle(runtime, target, create)

    def _settle(self, runtime: Runtime, target: Target, create: UnconfirmedCreate) -> None:
        panel = [key for key in self.world.simulator.admin.keys().values() if key.exists and key.label == create.label]
        if not panel and datetime.now(UTC) - create.at < PATIENCE:
            return
        verdict = Settlement("a person found no key of this label")
        if panel:
            verdict = Settlement("a person named the key", panel[0].access_key)
            if _is_in_use(runtime, panel[0].access_key):
                return  # it came late, and is on record by now
        store = runtime.services.store
        loaded = store.load(target.name, target.path)
        store.change(loaded, lambda known: settled_create(known, create.rotation_id, verdict, datetime.now(UTC)))
        self.settled += 1
        runtime.shared.due.wake(target.name)


def _is_in_use(runtime: Runtime, access_key: str) -> bool:
    records = survey(runtime.services, runtime.settings.targets).records.values()
    return any(access_key in record.keys_on_record() for record in records)


def drift_by_audit(world: World) -> int | None:
    """What ``rotator audit`` tells of keys that nothing explains, once all workers have ended."""
    runtime = build(load(None, person_environment(world)))
    return audit(runtime.services, runtime.settings.targets, timedelta()).drift
