"""What a request for a rotation does that came as a message."""

from __future__ import annotations

from worker.errors import RotatorError, VaultError
from worker.rotation.reconcile import accept
from worker.rotation.record import Request
from worker.service.assemble import Runtime
from worker.service.look import look_while_due

REASON_LENGTH = 200


def rotate(runtime: Runtime, request: str, name: str, reason: str) -> None:
    """Put a request on record, then look at the target. The message's id makes it one request however often it comes.

    Raises UsageError for a target that is not configured, RecordError, Conflict, VaultError, QueueUnavailable.
    """
    requests, reason = runtime.shared.requests, reason[:REASON_LENGTH]
    target = runtime.target(name)
    requests.keep(request, {"target": target.name, "reason": reason})
    try:
        accept(runtime.services, target, Request(id=request, reason=reason, at=runtime.clock.now()))
    except VaultError:
        raise  # the next tick that finds Vault well sends it again
    except RotatorError:
        requests.drop(request)
        raise
    # in this order: a worker that dies in between is followed by a tick that sends the request again
    runtime.shared.due.wake(target.name)
    requests.drop(request)
    look_while_due(runtime, target.name)
