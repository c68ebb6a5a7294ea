"""What a request for a rotation does that came as a message."""

from __future__ import annotations

import structlog

from worker.errors import RequestLimited, RotatorError, VaultError
from worker.events import Event
from worker.rotation.reconcile import accept_message
from worker.rotation.record import Request
from worker.service.assemble import Runtime
from worker.service.look import look_while_due

_log = structlog.get_logger(__name__)


def rotate(runtime: Runtime, request: str, name: str, reason: str) -> None:
    """Put a request on record, then look at the target. The message's id makes it one request however often it comes.

    Raises UsageError for a target that is not configured, RecordError, Conflict, VaultError, QueueUnavailable.
    """
    requests = runtime.shared.requests
    target = runtime.target(name)
    requests.keep(request, {"target": target.name, "reason": reason})
    try:
        accept_message(
            runtime.services,
            target,
            Request(id=request, reason=reason, at=runtime.clock.now()),
            runtime.settings.worker.messages_per_hour,
        )
    except VaultError:
        raise  # the next tick that finds Vault well sends it again
    except RequestLimited as error:
        requests.drop(request)
        next_at = error.next_at.isoformat(timespec="seconds")
        _log.warning(Event.TASK_REFUSED, task="rotator.rotate", request=request, next_at=next_at, **error.fields())
        return
    except RotatorError:
        requests.drop(request)
        raise
    # in this order: a worker that dies in between is followed by a tick that sends the request again
    runtime.shared.due.wake(target.name)
    requests.drop(request)
    look_while_due(runtime, target.name)
