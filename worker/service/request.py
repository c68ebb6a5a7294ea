"""What a request for a rotation does that came as a message."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from worker.adapters.redis.reading import StoredRequest
from worker.errors import RequestLimited, RotatorError, VaultError
from worker.events import Event
from worker.rotation.reconcile import accept_message
from worker.rotation.record import Request
from worker.service.assemble import Runtime
from worker.service.look import look_while_due

NOT_BY_MESSAGE = "a message says that the key leaked; it is rotated, and the old one keeps its grace"
BY_HAND = "Find out whether that is so. To delete the old one at once: `rotator rotate TARGET --leaked`."

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a message asks for: its id, why, who says that he asks, and whether the key is said to have leaked."""

    id: str
    reason: str = ""
    by: str = ""
    leaked: bool = False


def rotate(runtime: Runtime, name: str, asked: Asked) -> None:
    """Put a request on record, then look at the target. The message's id makes it one request however often it comes.

    Raises UsageError for a target that is not configured, RecordError, Conflict, VaultError, QueueUnavailable.
    """
    requests, request = runtime.shared.requests, asked.id
    target = runtime.target(name)
    if limited := runtime.refused.limited(runtime.clock, name):
        _refuse(runtime, request, limited)
        return
    requests.keep(request, StoredRequest(target=target.name, reason=asked.reason, by=asked.by, leaked=asked.leaked))
    try:
        accept_message(
            runtime.services,
            target,
            _request(runtime, asked),
            runtime.settings.worker.messages_per_hour,
            f"message {asked.by}".strip(),  # never taken for a person: who can send one can write any name in it
            leak_said=asked.leaked and not runtime.settings.worker.leaked_by_message,
        )
    except VaultError:
        raise  # the next tick that finds Vault well sends it again
    except RequestLimited as error:
        runtime.refused.limit(runtime.clock, name, error)
        _refuse(runtime, request, error)
        return
    except RotatorError:
        requests.drop(request)
        raise
    # in this order: a worker that dies in between is followed by a tick that sends the request again
    runtime.shared.due.wake(target.name)
    requests.drop(request)
    if asked.leaked and not runtime.settings.worker.leaked_by_message:
        _log.warning(Event.LEAK_REPORTED, target=target.name, request=request, error=NOT_BY_MESSAGE, hint=BY_HAND)
    look_while_due(runtime, target.name)


def _refuse(runtime: Runtime, request: str, error: RequestLimited) -> None:
    runtime.shared.requests.drop(request)
    facts = {"request": request, "next_at": error.next_at.isoformat(timespec="seconds"), **error.fields()}
    runtime.refused.tell(runtime.clock, lambda: _log.warning(Event.TASK_REFUSED, task="rotator.rotate", **facts))


def _request(runtime: Runtime, asked: Asked) -> Request:
    leaked = asked.leaked and runtime.settings.worker.leaked_by_message
    return Request(id=asked.id, reason=asked.reason, at=runtime.clock.now(), leaked=leaked)
