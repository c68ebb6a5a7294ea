"""The API key as the service sees to it: one worker at each tick; and what the audit has to say of it."""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from worker.errors import RecordError, RotatorError
from worker.events import Event
from worker.rotation.api_key.record import ApiKeyRecord
from worker.rotation.api_key.tend import tend
from worker.rotation.findings import AuditFinding
from worker.service.assemble import Runtime

WORK = "api key"
OFTEN = 0.9
"""Of a tick: so long no other worker looks."""

_log = structlog.get_logger(__name__)


def tend_api_key(runtime: Runtime) -> None:
    """See to the API key, where it lies in Vault and no other worker just did. Raises QueueUnavailable.

    What goes wrong with it never holds up a rotation. While HostUp is not called, no roll begins by itself.
    """
    desk, tick = runtime.desk, runtime.settings.worker.tick
    if desk is None or not runtime.shared.locks.only_one(f"{WORK} {desk.account}", tick * OFTEN):
        return
    held = runtime.shared.circuit.held(runtime.clock.now())
    try:
        tend(desk, may_begin=not held)
    except RotatorError as error:
        _log.warning(Event.TASK_FAILED, task="rotator.tick", account=desk.account, **error.fields())


def findings_of_api_key(runtime: Runtime) -> Iterator[AuditFinding]:
    """What is wrong with the API key, by its record. Raises VaultError."""
    desk = runtime.desk
    if desk is None:
        return
    try:
        record = desk.store.load().record
        rescued = desk.store.rescued()
    except RecordError as error:
        yield AuditFinding("api key", None, error.what, error.hint)
        return
    if record.trouble:
        yield AuditFinding("api key" if record.needs_person else "api key failing", None, *_said(record))
    elif rescued.keys:
        named = f" (id {rescued.key_id})" if rescued.key_id else ""
        what = f"an API key{named} is kept beside the record, and another one is in use"
        hint = "Delete it in HostUp's panel, then run `rotator roll-api-key --settle`."
        yield AuditFinding("api key", None, what, hint)


def _said(record: ApiKeyRecord) -> tuple[str, str]:
    trouble = record.trouble
    if trouble is None:
        return "", ""
    request = f" (requestId {trouble.request_id})" if trouble.request_id else ""
    again = f" It is tried again at {trouble.retry_at.isoformat(timespec='seconds')}." if trouble.retry_at else ""
    return f"{trouble.what}{request}", f"{trouble.hint}{again}"
