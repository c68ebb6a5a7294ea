"""The Celery tasks. They are thin: what each does is in a module of its own.

Messages are hints: one that is lost, doubled or late changes nothing but when a target is looked at. Tasks hand
nothing back and never let an exception out, because Celery would log its text and arguments.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from celery import Celery, Task

from worker.errors import QueueUnavailable, RotatorError, UsageError
from worker.events import Event
from worker.service import audit_task, look, request
from worker.service import tick as ticks
from worker.service.assemble import Runtime
from worker.service.background import Background

_log = structlog.get_logger(__name__)


def register(app: Celery, runtime: Runtime) -> Background:
    """Define the tasks on an app; answers what does the audits."""
    pace = ticks.Pace(runtime.clock)
    audits = Background("audit", lambda: guarded(runtime, "rotator.audit", lambda: audit_task.audit_once(runtime)))

    @app.task(name="rotator.tick", bind=True)
    def tick(task: Task[..., None]) -> None:
        pace.run(lambda: guarded(runtime, str(task.name), lambda: ticks.tick(runtime, app.send_task)))

    @app.task(name="rotator.reconcile", bind=True)
    def reconcile(task: Task[..., None], target: str) -> None:
        guarded(runtime, str(task.name), lambda: look.look_while_due(runtime, str(target)))

    @app.task(name="rotator.watch", bind=True)
    def watch(task: Task[..., None], target: str) -> None:
        guarded(runtime, str(task.name), lambda: look.watch_while_nothing_is_due(runtime, str(target)))

    @app.task(name="rotator.rotate", bind=True)
    def rotate(task: Task[..., None], target: str, reason: str = "", by: str = "", leaked: bool = False) -> None:  # noqa: FBT001, FBT002 - as messages have them
        asked = request.Asked(str(task.request.id), str(reason), str(by), leaked is True)
        guarded(runtime, str(task.name), lambda: request.rotate(runtime, str(target), asked))

    @app.task(name="rotator.audit")
    def audit() -> None:
        # not in this thread: it asks each account, and one that is silent would take threads from the others
        audits.ask()

    return audits


def guarded(runtime: Runtime, task: str, run: Callable[[], None]) -> None:
    """Run it, and log what it raises."""
    try:
        run()
    except QueueUnavailable as error:
        runtime.redis_failed(error)
    except UsageError as error:
        fields = error.fields()
        runtime.refused.tell(runtime.clock, lambda: _log.error(Event.TASK_REFUSED, task=task, **fields))
    except RotatorError as error:
        _log.warning(Event.TASK_FAILED, task=task, **error.fields())
    except Exception as error:  # noqa: BLE001 - the border to Celery, which would log text and arguments
        _log.exception(Event.TASK_FAILED, task=task, kind=type(error).__name__)
