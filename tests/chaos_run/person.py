"""A person who looks after the rotator, by what HostUp's panel and Vault show.

Settles unconfirmed creates, puts a working API key in the place of a lost one, puts back what a stranger wrote over,
lets keys be deleted after Vault was set back, and lets calls be made again that somebody in Redis had held back for as
long as is believed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.chaos_run.api_key import ApiKeyOwner
from tests.chaos_run.harm import Harm
from tests.chaos_run.world import World, person_environment
from worker.errors import RotatorError
from worker.rotation.audit import audit
from worker.rotation.changes.settlement import Settlement, settled_create, tried_at_once
from worker.rotation.changes.watch import deletes_resumed
from worker.rotation.record import Record, TroubleKind, UnconfirmedCreate
from worker.rotation.survey import survey
from worker.sandbox.texts import MOUNT
from worker.service.assemble import Runtime, build
from worker.settings.settings import load
from worker.targets.target import Target

LOOK_EVERY = 1.0

PATIENCE = timedelta(seconds=8)
"""A key that was asked for so long ago and is not in the panel is never going to be there: see weather.VERY_LATE."""


HELD_FOR_LONG = timedelta(minutes=1)
"""No fault of the simulator's asks for a pause of that length."""


@dataclass(slots=True)
class Person:
    """Works in a thread until stopped."""

    world: World
    harm: Harm
    api_key: ApiKeyOwner
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
            with suppress(RotatorError):
                _close_what_is_held(runtime)
            with suppress(RotatorError, OSError), self.world.nobody_writes:
                self.api_key.look(runtime)
            for target in runtime.settings.targets.values():
                with suppress(RotatorError, OSError), self.world.nobody_writes:
                    self._look_at(runtime, target)  # Vault or HostUp is away, or another writer was first: later

    def _look_at(self, runtime: Runtime, target: Target) -> None:
        record = runtime.services.store.load(target.name, target.path).record
        for create in record.unconfirmed_creates:
            if create.open and not self._stop.is_set():
                self._settle(runtime, target, create)
        if record.deletes_held:
            self._after_set_back(runtime)
        if _is_overwritten(record):
            self._put_back(runtime, target, record)

    def _after_set_back(self, runtime: Runtime) -> None:
        """Delete the keys that Vault knows no more of all targets that are held, and let the worker delete again."""
        records = survey(runtime.services, runtime.settings.targets).records
        known = {key for record in records.values() for key in record.keys_on_record()}
        known |= {create.label for record in records.values() for create in record.unconfirmed_creates}
        held = {name for name, record in records.items() if record.deletes_held}
        for key in self.world.keys().values():
            made = datetime.fromtimestamp(key.created_at, UTC)
            is_known = key.access_key in known or key.label in known
            if key.exists and not is_known and key.label.split()[0] in held and self.harm.covers(made):
                self.harm.keys.add(key.access_key)
                for simulator in self.world.simulators.values():
                    simulator.admin.remove_key(key.access_key)
        store = runtime.services.store
        for name in held:
            loaded = store.load(name, runtime.settings.targets[name].path)
            store.change(loaded, lambda record: deletes_resumed(record, "a person says so", datetime.now(UTC)))
            runtime.shared.due.wake(name)

    def _put_back(self, runtime: Runtime, target: Target, record: Record) -> None:
        """Write the newest version that is on record anew; where none is left, the worker is to make another key."""
        admin, path = self.world.vault.admin, target.path
        ours = {record.current and record.current.access_key, record.rotation and _staged(record)}
        versions = self.world.mount.metadata(path).get("versions", {})
        newest = max(map(int, versions), default=0)
        for version in sorted(map(int, versions), reverse=True):
            data = self.world.mount.data(path, version)
            if data and target.fields.read(data, "access_key") in ours:
                body = {"data": data, "options": {"cas": newest}}
                self.harm.wrote(path, newest + 1)  # before: a Vault that stands still may do it without an answer
                admin.call("POST", f"{MOUNT}/data/{path}", body)
                break
        else:
            admin.call("DELETE", f"{MOUNT}/data/{path}")
        store = runtime.services.store
        store.change(store.load(target.name, path), lambda known: tried_at_once(known, datetime.now(UTC)))
        runtime.shared.due.wake(target.name)

    def _settle(self, runtime: Runtime, target: Target, create: UnconfirmedCreate) -> None:
        keys = self.world.simulator_of(target.name).admin.keys().values()
        panel = [key for key in keys if key.exists and key.label == create.label]
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


def _close_what_is_held(runtime: Runtime) -> None:
    now, shared = datetime.now(UTC), runtime.shared
    for held in shared.held(now):
        if held.until > now + HELD_FOR_LONG:
            shared.circuit(held.account).close_all(now)


def _is_overwritten(record: Record) -> bool:
    trouble, failure = record.trouble, record.failure
    seen = trouble is not None and trouble.confirmed and trouble.kind is TroubleKind.OVERWRITTEN
    return seen or (failure is not None and failure.kind == "Conflict")


def _staged(record: Record) -> str | None:
    return record.rotation.key.access_key if record.rotation and record.rotation.key else None


def _is_in_use(runtime: Runtime, access_key: str) -> bool:
    records = survey(runtime.services, runtime.settings.targets).records.values()
    return any(access_key in record.keys_on_record() for record in records)


def drift_by_audit(world: World) -> Mapping[str, int | None]:
    """What ``rotator audit`` tells of keys that nothing explains, by account, once all workers have ended."""
    runtime = build(load(None, person_environment(world)))
    report = audit(runtime.services, runtime.settings.targets, timedelta())
    return {each.account: each.drift for each in report.accounts}
