"""The Celery tasks. They are thin: each only finds its target and calls :mod:`worker.rotation.reconcile`.

Messages are hints: one that is lost, doubled or late changes nothing but when a target is looked at. Tasks hand
nothing back and never let an exception out, because Celery would log its text and arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from celery import Celery, Task

from worker.adapters.redis.queue import Hold, IndexEntry, unavailable
from worker.errors import Conflict, RecordError, RotatorError, UsageError, VaultError, VaultSealed
from worker.events import Event
from worker.rotation.audit import AuditReport, audit
from worker.rotation.changes.creates import explained
from worker.rotation.reconcile import accept, next_look, reconcile
from worker.rotation.record import Record, Request
from worker.rotation.status import due_at, summarize, unusable
from worker.rotation.steps.session import Session, about
from worker.service.assemble import Runtime
from worker.service.index import entry as index_entry
from worker.targets.backoff import fraction
from worker.targets.target import Target

QUEUE = "celery"
"""Celery's own default, so that ``send_task`` of any other app finds it; so the Redis database must be our own."""

REASON_LENGTH = 200
INDEX_BATCH = 500
SETTLED_AFTER_LEASES = 4

_log = structlog.get_logger(__name__)


class Looks:
    """What the tasks do, on one runtime."""

    def __init__(self, runtime: Runtime, send: Callable[..., object]) -> None:
        self._runtime = runtime
        self._send = send

    def tick(self) -> None:
        """Hand out what is due. A tick while Vault is away hands out nothing: it would only fail."""
        runtime = self._runtime
        _see_that_vault_is_ready(runtime)
        if not runtime.queue.is_built():
            self.rebuild()
        for request, content in runtime.queue.requests().items():
            self._hand_out("rotator.rotate", [content["target"], content["reason"]], task_id=request)
        now = runtime.clock.now()
        room = self._threads(now) - runtime.queue.waiting_messages(QUEUE)
        if room > 0:
            for name in runtime.queue.claim(now, runtime.settings.worker.lease, room):
                self._hand_out("rotator.reconcile", [name])

    def _threads(self, now: datetime) -> int:
        """How many threads there are, so how many messages may wait; what is due beyond that, they take by themselves.

        A message costs two milliseconds of CPU, a fifth of a rotation; taking what is due costs a tenth of that.
        """
        runtime = self._runtime
        return runtime.settings.worker.concurrency * max(1, len(runtime.queue.workers(now)))

    def _hand_out(self, task: str, arguments: list[str], task_id: str | None = None) -> None:
        try:
            self._send(task, args=arguments, task_id=task_id)
        except Exception as error:  # noqa: BLE001 - of a broker that goes away kombu even raises AttributeError
            raise unavailable(error) from None  # what was claimed comes back by itself

    def rebuild(self) -> None:
        """Fill the due set after Redis was wiped, and whenever a worker starts; each look then fills the index."""
        runtime = self._runtime
        names = set(runtime.settings.targets)
        runtime.queue.forget(runtime.queue.scheduled() - names)
        runtime.queue.schedule_missing(names, runtime.clock.now())
        _log.info(Event.INDEX_REBUILT, targets=len(names))

    def reconcile(self, name: str) -> None:
        """Look at one target, then at whatever else is due, for the time of a tick and until a look fails.

        So the pace is not that of the ticks: what one hands out is soon done when much is due. Messages that wait go
        first; one that Celery has taken already waits for this thread, which is why it does not go on for ever.
        """
        clock = self._runtime.clock
        until = clock.monotonic() + self._runtime.settings.worker.tick.total_seconds()
        target: str | None = name
        while target and self._reconcile(target) and not clock.stopping and clock.monotonic() < until:
            target = self._runtime.queue.claim_next(clock.now(), self._runtime.settings.worker.lease, QUEUE)

    def _reconcile(self, name: str) -> bool:
        """Look at one target, unless somebody is at it; False when that failed."""
        runtime = self._runtime
        target = self._target(name)
        hold = runtime.queue.hold(target.name, runtime.settings.worker.lease)
        if not hold.mine:
            return True
        indexed = False
        try:
            indexed = self._look(target, hold)
        finally:
            if not indexed:
                runtime.queue.release(hold)
        return indexed

    def rotate(self, request: str, name: str, reason: str) -> None:
        """Put a request on record, then look at the target. The message's id makes it one request however often."""
        runtime = self._runtime
        target = self._target(name)
        runtime.queue.keep_request(request, {"target": target.name, "reason": reason[:REASON_LENGTH]})
        try:
            accept(runtime.services, target, Request(id=request, reason=reason[:REASON_LENGTH], at=runtime.clock.now()))
        except VaultError:
            raise  # the next tick that finds Vault well sends it again
        except RotatorError:
            runtime.queue.drop_request(request)
            raise
        # in this order: a worker that dies in between is followed by a tick that sends the request again
        runtime.queue.wake(target.name)
        runtime.queue.drop_request(request)
        self.reconcile(name)

    def audit(self) -> None:
        """The audit, logged; and the index made anew from what it read. One worker does it, however many are asked."""
        runtime = self._runtime
        every = runtime.settings.worker.audit_every
        if not runtime.queue.only_one("audit", every * 0.9):
            return
        report = audit(runtime.services, runtime.settings.targets, slack(runtime))
        for finding in report.findings:
            event = Event.DRIFT_FOUND if finding.kind == "drift" else Event.AUDIT_FOUND
            _log.warning(event, kind=finding.kind, target=finding.target, what=finding.what, hint=finding.hint)
        if report.drift == 0:
            self._settle_explained(report)
        self._index_all(report.survey.records)
        _log.info(
            Event.AUDIT_DONE,
            findings=len(report.findings),
            targets=report.targets,
            key_count=report.key_count,
            on_record=report.on_record,
            foreign=report.foreign,
            drift=report.drift,
        )

    def _settle_explained(self, report: AuditReport) -> None:
        """Settle unconfirmed creates: no key of the account is left that one of them could have made.

        Only those that are old enough: a call that timed out may be carried out later.
        """
        runtime = self._runtime
        before = report.at - runtime.settings.worker.lease * SETTLED_AFTER_LEASES
        for name, record in report.survey.records.items():
            target = runtime.settings.targets.get(name)
            if target and any(create.open and create.at < before for create in record.unconfirmed_creates):
                session = Session(runtime.services, target, runtime.services.store.load(name, target.path))
                session.change(lambda known: explained(known, before, report.at))

    def _look(self, target: Target, hold: Hold) -> bool:
        runtime = self._runtime
        now = runtime.clock.now()
        try:
            runtime.baseline()
            found = index_entry(reconcile(runtime.services, target))
        except (RecordError, Conflict) as error:
            event = Event.RECORD_UNREADABLE if isinstance(error, RecordError) else Event.CONFLICT_FOUND
            _log.error(event, target=target.name, **about(error))
            summary = unusable(target.name, error.what, error.hint)
            found = IndexEntry(target.name, summary, frozenset(), now + runtime.settings.worker.audit_every)
        except RotatorError as error:
            _log.warning(Event.TARGET_FAILED, target=target.name, **about(error))
            runtime.queue.schedule(target.name, now + self._soon(target.name))
            return False
        runtime.queue.index(found, hold)
        return True

    def _soon(self, name: str) -> timedelta:
        tick = self._runtime.settings.worker.tick
        return tick * (1 + fraction(name))

    def _index_all(self, records: Mapping[str, Record]) -> None:
        runtime = self._runtime
        now, targets = runtime.clock.now(), runtime.settings.targets
        for names in batched(sorted(set(records) & set(targets)), INDEX_BATCH):
            summaries = {n: summarize(records[n], due_at(records[n], targets[n], now)) for n in names}
            ids = {found: n for n in names for entry in records[n].history.entries() for found in entry.ids}
            runtime.queue.keep_summaries(summaries, ids)
            # a wake that was lost with Redis, and a schedule that was changed, are caught up with here
            runtime.queue.look_sooner({n: next_look(records[n], targets[n], now) for n in names})

    def _target(self, name: str) -> Target:
        target = self._runtime.settings.targets.get(name)
        if target is None:
            raise UsageError(f"there is no target {name[:64]!r}", hint="See the names in `rotator status`.")
        return target


def batched(names: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Names in groups of at most ``size``."""
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _see_that_vault_is_ready(runtime: Runtime) -> None:
    health = runtime.vault.health()
    if health.sealed or not health.initialized:
        raise VaultSealed(
            "Vault is sealed" if health.initialized else "Vault is not initialised",
            operation="health",
            hint="Unseal it. Until then no target is looked at; current keys stay as they are.",
        )


def slack(runtime: Runtime) -> timedelta:
    """How late something may be before the audit tells: a few ticks, and a lease that has to run out."""
    worker = runtime.settings.worker
    return worker.tick * 4 + worker.lease * 2


def register(app: Celery, runtime: Runtime) -> None:
    """Define the tasks on an app."""
    looks = Looks(runtime, app.send_task)

    @app.task(name="rotator.tick", bind=True)
    def tick(task: Task[..., None]) -> None:
        _guarded(str(task.name), looks.tick)

    @app.task(name="rotator.reconcile", bind=True)
    def reconcile(task: Task[..., None], target: str) -> None:
        _guarded(str(task.name), lambda: looks.reconcile(str(target)))

    @app.task(name="rotator.rotate", bind=True)
    def rotate(task: Task[..., None], target: str, reason: str = "") -> None:
        request = str(task.request.id)
        _guarded(str(task.name), lambda: looks.rotate(request, str(target), str(reason)))

    @app.task(name="rotator.audit", bind=True)
    def audit(task: Task[..., None]) -> None:
        _guarded(str(task.name), looks.audit)


def _guarded(task: str, run: Callable[[], None]) -> None:
    try:
        run()
    except UsageError as error:
        _log.error(Event.TASK_REFUSED, task=task, **about(error))
    except RotatorError as error:
        _log.warning(Event.TASK_FAILED, task=task, **about(error))
    except Exception as error:  # noqa: BLE001 - the border to Celery, which would log text and arguments
        _log.exception(Event.TASK_FAILED, task=task, kind=type(error).__name__)
