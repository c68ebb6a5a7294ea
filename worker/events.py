"""The names of all events: constant, so that logs can be searched and alerted on; history uses the same names."""

from __future__ import annotations

from enum import StrEnum


class Event(StrEnum):
    """What can happen; the value is the ``event`` of a log line and of an entry in a record's history."""

    ROTATION_REQUESTED = "rotation.requested"
    ROTATION_STARTED = "rotation.started"
    ROTATION_SUCCEEDED = "rotation.succeeded"
    ROTATION_FAILED = "rotation.failed"
    ROTATION_POSTPONED = "rotation.postponed"
    LEASE_LOST = "lease.lost"
    CREATE_UNCONFIRMED = "create.unconfirmed"
    CREATE_SETTLED = "create.settled"
    KEY_DIED = "key.died"
    KEY_CREATED = "key.created"
    KEY_STRAY = "key.stray"
    KEY_VERIFIED = "key.verified"
    KEY_REFUSED = "key.refused"
    KEY_UNCLAIMED = "key.unclaimed"
    KEY_ADOPTED = "key.adopted"
    KEY_RETIRED = "key.retired"
    KEY_RETIRE_FAILED = "key.retire_failed"
    KEY_DEAD = "key.dead"
    KEY_OVERDUE = "key.overdue"
    SECRET_LOST = "secret.lost"  # noqa: S105 - an event's name
    SECRET_RESTORED = "secret.restored"  # noqa: S105 - an event's name
    SECRET_PUBLISHED = "secret.published"  # noqa: S105 - an event's name
    CONFLICT_FOUND = "conflict.found"
    WATCH_FOUND = "watch.found"
    VAULT_SET_BACK = "vault.set_back"
    DELETES_RESUMED = "deletes.resumed"
    TARGET_RECOVERED = "target.recovered"
    TARGET_RENAMED = "target.renamed"
    TARGET_BLOCKED = "target.blocked"
    TARGET_FAILED = "target.failed"
    RECORD_UNREADABLE = "record.unreadable"
    RECORD_REPAIRED = "record.repaired"
    RECORD_WRITE_RETRIED = "record.write_retried"
    COUNT_UNKNOWN = "count.unknown"
    CALLS_PAUSED = "calls.paused"
    CIRCUIT_OPENED = "circuit.opened"
    CIRCUIT_CLOSED = "circuit.closed"
    DRIFT_FOUND = "drift.found"
    AUDIT_FOUND = "audit.found"
    AUDIT_DONE = "audit.done"
    INDEX_REBUILT = "index.rebuilt"
    TASK_REFUSED = "task.refused"
    TASK_UNKNOWN = "task.unknown"
    TASK_FAILED = "task.failed"
    QUEUE_UNAVAILABLE = "queue.unavailable"
    PULSE_FAILED = "pulse.failed"
    WORKER_STARTED = "worker.started"
    WORKER_STOPPED = "worker.stopped"
    ERROR_UNCAUGHT = "error.uncaught"
