"""Leak mode, as people and scanners begin it: the request is tried at once, whatever holds back what is tried again."""

from __future__ import annotations

from worker.rotation.changes.settlement import tried_at_once
from worker.rotation.record import Record
from worker.service.assemble import Runtime
from worker.targets.target import Target


def tried_now(runtime: Runtime, target: Target) -> Record:
    """Have the next try be now; what fails again waits again.

    Raises RecordError, VaultError; QueueUnavailable where what holds all calls to HostUp back could not be closed.
    """
    store, now = runtime.services.store, runtime.clock.now()
    record = store.change(store.load(target.name, target.path), lambda known: tried_at_once(known, now)).record
    runtime.shared.circuit(target.account).close_all(now)
    return record
