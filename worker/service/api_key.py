"""The API keys as the service sees to them: one worker at each tick; and what the audit has to say of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import structlog

from worker.errors import RecordError, RotatorError
from worker.events import Event
from worker.rotation.api_key.desk import ApiKeyDesk
from worker.rotation.api_key.record import ApiKeyRecord
from worker.rotation.api_key.tend import standing, tend
from worker.rotation.findings import AuditFinding
from worker.service.assemble import Runtime
from worker.targets.account import account_word, at_account

WORK = "api key"
OFTEN = 0.9
"""Of a tick: so long no other worker looks."""

_log = structlog.get_logger(__name__)


def tend_api_keys(runtime: Runtime) -> None:
    """See to each API key that lies in Vault and that no other worker just looked at. Raises QueueUnavailable.

    All at the same time: that HostUp is silent about one account never holds up the key of another.
    """
    desks = tuple(runtime.desks.values())
    if len(desks) <= 1:
        for desk in desks:
            _tend(runtime, desk)
        return
    with ThreadPoolExecutor(len(desks), thread_name_prefix="api-key") as pool:
        began = [pool.submit(copy_context().run, _tend, runtime, desk) for desk in desks]
    for each in began:
        each.result()


def _tend(runtime: Runtime, desk: ApiKeyDesk) -> None:
    """See to one, in a place of its account; where that has none now, the next tick comes by.

    What goes wrong with it never holds up a rotation. While HostUp is not called, no roll begins by itself.
    """
    worker = runtime.settings.worker
    if not desk.busy.acquire(blocking=False):
        return  # an earlier tick waits for HostUp yet; another thread would wait beside it
    try:
        with runtime.bulkhead.place(desk.account, worker.concurrency) as free:
            if free and runtime.shared.locks.only_one(f"{WORK} {desk.account}", worker.tick * OFTEN):
                _tend_now(runtime, desk)
    finally:
        desk.busy.release()


def _tend_now(runtime: Runtime, desk: ApiKeyDesk) -> None:
    held, notes = runtime.shared.circuit(desk.account).held(runtime.clock.now()), runtime.shared.notes
    try:
        found = standing(desk, tend(desk, may_begin=not held))
        notes.api_key_seen(desk.account, found.made_at, found.roll_at, needs_person=found.needs_person)
    except RotatorError as error:
        if isinstance(error, RecordError):
            notes.api_key_seen(desk.account, None, None, needs_person=True)
        _log.warning(Event.TASK_FAILED, task="rotator.tick", account=desk.account, **error.fields())


def findings_of_api_keys(runtime: Runtime) -> Iterator[AuditFinding]:
    """What is wrong with the API keys, by their records. Raises VaultError."""
    for desk in runtime.desks.values():
        yield from _findings(desk)


def _findings(desk: ApiKeyDesk) -> Iterator[AuditFinding]:
    account, at = desk.account, at_account(desk.account)
    try:
        record = desk.store.load().record
        rescued = desk.store.rescued()
    except RecordError as error:
        yield AuditFinding("api key", None, f"{error.what}{at}", error.hint, account)
        return
    if record.trouble:
        what, hint = _said(record)
        yield AuditFinding("api key" if record.needs_person else "api key failing", None, what, hint, account)
    elif rescued.keys:
        named = f" (id {rescued.key_id})" if rescued.key_id else ""
        what = f"an API key{named} is kept beside the record, and another one is in use{at}"
        hint = f"Delete it in HostUp's panel, then run `rotator roll-api-key{account_word(account)} --settle`."
        yield AuditFinding("api key", None, what, hint, account)


def _said(record: ApiKeyRecord) -> tuple[str, str]:
    trouble = record.trouble
    if trouble is None:
        return "", ""
    request = f" (requestId {trouble.request_id})" if trouble.request_id else ""
    again = f" It is tried again at {trouble.retry_at.isoformat(timespec='seconds')}." if trouble.retry_at else ""
    return f"{trouble.what}{at_account(record.account)}{request}", f"{trouble.hint}{again}"
