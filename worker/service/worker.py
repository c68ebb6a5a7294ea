"""The service: a Celery worker with beat inside, until it is told to stop."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import closing, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from celery import Celery
from celery.apps.worker import Worker, install_worker_term_handler  # type: ignore[attr-defined]  # types lack these
from celery.beat import Scheduler, Service
from celery.exceptions import WorkerShutdown
from celery.signals import setup_logging, worker_ready, worker_shutting_down

from worker import __version__
from worker.adapters.redis.client import guard, is_cluster
from worker.adapters.redis.errors import CLUSTER, NEVER, NO_CLUSTER
from worker.errors import ConfigurationError, QueueUnavailable, UsageError, VaultError
from worker.events import Event
from worker.logs import setup
from worker.logs.redaction import Redactor
from worker.notices.judging import READ
from worker.service import systemd
from worker.service.assemble import Runtime, build, worker_name
from worker.service.audit_task import AuditAfterTrouble, audit_once
from worker.service.celery_app import make_app, paced_by, schedule
from worker.service.http_door import HttpDoor
from worker.service.leak_webhook import webhook_door
from worker.service.life import Life
from worker.service.notices.feed import Feed
from worker.service.notices.office import open_office
from worker.service.orphans import Orphans
from worker.service.own_audit import OwnAudit
from worker.service.pulse import PULSE_SECONDS, Pulse
from worker.service.redis_move import RedisMove
from worker.service.tasks import guarded, register
from worker.service.telemetry.errors import ErrorReports
from worker.service.telemetry.opening import Collected
from worker.service.tick import rebuild
from worker.service.undumpable import become_undumpable
from worker.settings.settings import Settings

if TYPE_CHECKING:
    from worker.service.metrics.own import OwnMetrics

AUDIT_SECONDS = 30.0
"""So long the end of a worker waits for an audit that is under way: a call to an account takes half of that."""

_log = structlog.get_logger(__name__)


def run(settings: Settings, concurrency: int | None = None, *, beat: bool = True, json_logs: bool = False) -> int:
    """The whole life of a worker process: logs to stdout (JSON unless that is a terminal), then :func:`serve`."""
    become_undumpable()
    settings = _with_threads(settings, concurrency)
    redactor = Redactor(settings.secrets())
    wanted = "json" if json_logs else settings.log.format
    mode = setup.mode_for(sys.stdout, wanted)
    feed, reports = Feed(READ) if settings.channels else None, ErrorReports(redactor)
    taps = [tap for tap in (feed, reports if settings.telemetry.dsn else None) if tap]
    setup.configure(mode, sys.stdout, redactor, setup.LEVELS[settings.log.level], *taps)
    setup.take_over(setup_logging)
    setup.catch_uncaught()
    own, name = _own_metrics(settings), worker_name()
    with closing(reports), Collected(settings, name, own) as collected:
        reports.open(settings.telemetry.dsn, name)
        runtime = build(settings, redactor, keep=True, meter=collected.meter, spans=collected.spans, name=name)
        collected.show(runtime)
        with open_office(runtime, feed, redactor, collected.meter) if feed else nullcontext():
            return serve(runtime, settings.worker.concurrency, beat=beat, own=own)


def _with_threads(settings: Settings, concurrency: int | None) -> Settings:
    """The settings with as many threads as the command asks for. Raises UsageError for fewer than accounts."""
    if concurrency is None:
        return settings
    if concurrency < len(settings.accounts):
        raise UsageError(
            f"{concurrency} threads are too few for {len(settings.accounts)} accounts",
            hint="Each account needs one, so that none waits for another.",
        )
    return replace(settings, worker=settings.worker.model_copy(update={"concurrency": concurrency}))


def _own_metrics(settings: Settings) -> OwnMetrics | None:
    if settings.metrics.listen is None:
        return None
    from worker.service.metrics.own import OwnMetrics  # noqa: PLC0415 - prometheus-client is loaded where it is used only

    return OwnMetrics(settings.accounts)


def _door(runtime: Runtime, own: OwnMetrics | None, life: Life) -> HttpDoor | None:
    listen = runtime.settings.metrics.listen
    if listen is None or own is None:
        return None
    from worker.service.pages import pages  # noqa: PLC0415 - as above

    return HttpDoor(listen, pages(runtime, own, life.is_shown))


def serve(runtime: Runtime, concurrency: int, *, beat: bool, own: OwnMetrics | None = None) -> int:
    """Work until SIGTERM or SIGINT, then finish the steps under way; returns the exit code.

    A second signal, or a kill, loses nothing: every step is on record before the next begins. ``own`` is what is shown
    of this process where the settings say so.
    """
    _refuse_what_never_works(runtime)
    settings, trouble = runtime.settings, runtime.redis_trouble
    app = make_app(settings.redis_url, settings.queue, runtime.redis_login, trouble.failed)
    audits_by_message = register(app, runtime)
    worker = runtime.settings.worker
    schedule(app, worker.tick, worker.audit_every, paced_by(runtime.clock))
    beats = _Beat(app) if beat else None
    move = RedisMove(runtime.redis_login)
    life = _life(runtime)
    doors = [door for door in (_door(runtime, own, life), webhook_door(runtime, app.send_task)) if door]
    inside = (life.show, Orphans().look, *(door.keep_open for door in doors))
    kept_alive = (vault.keep_alive for vault in (runtime.vault, *runtime.elsewhere.values()))
    show = partial(_show, runtime, move, AuditAfterTrouble(runtime, app.send_task))
    pulse = Pulse(inside, (show, *kept_alive), life.note)
    audits = OwnAudit(
        runtime.clock,
        runtime.audits,
        worker.audit_every,
        lambda: guarded(runtime, "rotator.audit", lambda: audit_once(runtime)),
    )

    def begin() -> None:
        _log.info(
            Event.WORKER_STARTED,
            version=__version__,
            worker=runtime.name,
            concurrency=concurrency,
            beat=beat,
            targets=len(runtime.settings.targets),
        )
        _rebuild(runtime)
        pulse.begin()
        audits.start()
        if beats:
            beats.start()
        systemd.notify(systemd.READY)

    def ready(**_: Any) -> None:
        try:
            begin()
        except Exception as error:  # noqa: BLE001 - the border to Celery
            # Celery would go on without it, and serve nothing
            _log.critical(Event.ERROR_UNCAUGHT, kind=type(error).__name__, exc_info=error)
            raise WorkerShutdown(1) from None

    def shutting_down(**_: Any) -> None:
        runtime.clock.stop()
        systemd.notify(systemd.STOPPING)
        for door in doors:
            door.close()  # at once: whoever is started next may want the address

    worker_ready.connect(ready, weak=False)
    worker_shutting_down.connect(shutting_down, weak=False)
    pulse.start()
    try:
        exit_code = _run(app, runtime, concurrency)
        audits_by_message.finish(AUDIT_SECONDS)
        return QueueUnavailable.exit_code if move.must_end else exit_code
    finally:
        if beats:
            beats.stop()
        pulse.stop()
        for door in doors:
            door.close()
        _leave(runtime)
        _log.info(Event.WORKER_STOPPED, worker=runtime.name)


def _refuse_what_never_works(runtime: Runtime) -> None:
    """Raises ConfigurationError; a Redis that is away, or that may not be asked, may work."""
    try:
        with guard():
            facts = runtime.shared.client.info()
    except QueueUnavailable as error:
        for why in NEVER:
            if why in error.what:
                raise _cannot_be_used(why, error.hint) from None
        return
    if is_cluster(facts):
        raise _cannot_be_used(CLUSTER, NO_CLUSTER)


def _cannot_be_used(why: str, hint: str) -> ConfigurationError:
    return ConfigurationError((f"environment: REDIS_URL: cannot be used: {why}",), hint=hint)


def _run(app: Celery, runtime: Runtime, concurrency: int) -> int:
    celery_worker = app.subclass_with_self(_Worker, name="Worker")(
        hostname=f"rotator@{runtime.name}",
        # threads: calls wait for the network nearly all the time, and one process shares clients and a Vault token
        pool="threads",
        # with several accounts one more, so that ticks take none that is kept for an account
        concurrency=concurrency + (len(runtime.settings.accounts) > 1),
        queues=[runtime.settings.queue],
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        loglevel="INFO",
        quiet=True,
    )
    celery_worker.start()
    return int(celery_worker.exitcode or 0)


class _Worker(Worker):
    """Celery's worker, without its line to stdout at SIGTERM: every line there is JSON."""

    def install_platform_tweaks(self, worker: Any) -> None:
        """Install the signal handlers (Celery calls this)."""
        super().install_platform_tweaks(worker)
        install_worker_term_handler(worker, verbose=False)


class _Beat:
    """Celery's beat in a thread of this process, so that it ends with it, however that ends."""

    def __init__(self, app: Celery) -> None:
        # the plain scheduler keeps nothing on disk: when the last tick was does not matter
        self._service = Service(app, scheduler_cls=Scheduler, max_interval=1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        self._service.stop()
        if self._thread.ident is not None:  # it was started at all
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._service.start()
            except Exception as error:  # noqa: BLE001 - the thread's border: without a beat nothing would be looked at
                _log.exception(Event.ERROR_UNCAUGHT, kind=type(error).__name__)
            self._ended.wait(PULSE_SECONDS)


def _life(runtime: Runtime) -> Life:
    file = os.environ.get("ROTATOR_HEALTH_FILE")
    return Life(runtime.clock, Path(file) if file else None)


def _show(runtime: Runtime, move: RedisMove, owed: AuditAfterTrouble) -> None:
    try:
        runtime.shared.heartbeats.beat(runtime.name)
        if runtime.redis_trouble.well():
            owed.ended()
        owed.ask()
    except QueueUnavailable as error:
        runtime.redis_failed(error)
        move.look(error)
    else:
        move.look()


def _rebuild(runtime: Runtime) -> None:
    """Have every target looked at soon: the configuration may have changed since the last worker."""
    with suppress(VaultError):  # the first tick says what is wrong; here it is only asked for the time
        runtime.vault.health()
    try:
        rebuild(runtime)
    except QueueUnavailable as error:
        runtime.redis_failed(error)


def _leave(runtime: Runtime) -> None:
    try:
        runtime.shared.heartbeats.leave(runtime.name)
    except QueueUnavailable as error:
        _log.warning(Event.QUEUE_UNAVAILABLE, error=error.what, hint=error.hint)
