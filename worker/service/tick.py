"""What a tick does: hands out what is due, and fills the due set when Redis was wiped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog

from worker.adapters.redis.errors import unavailable
from worker.adapters.redis.repair import Scheduled
from worker.clock import Clock
from worker.errors import VaultNoLeader, VaultSealed, VaultUnavailable
from worker.events import Event
from worker.service.api_key import tend_api_keys
from worker.service.assemble import Runtime
from worker.service.former_queue import FormerQueue
from worker.service.share import watching_threads
from worker.service.strangers import MOST_STRANGERS, claimed, drop_all
from worker.targets.schedule import next_watch

Send = Callable[..., object]
"""Sends a message, as ``Celery.send_task`` does."""

LONGEST_LOOK = timedelta(days=3660)
"""No schedule has its next rotation further away; the audit puts right what is nearer than that (``look_sooner``)."""

AT_ONCE_SECONDS = 0.2

_WITHOUT_TARGET = {
    "task": "rotator.rotate",
    "error": "a rotation was requested, and its target is no longer configured",
    "hint": "Nothing was done. Put the target back into the configuration to rotate its key.",
}

_log = structlog.get_logger(__name__)


class Pace:
    """Ticks that come at once, as after all threads were busy, are one: what the first found, the others would find."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ended = -math.inf

    def run(self, tick: Callable[[], None]) -> None:
        """Tick, unless one has just ended."""
        if self._clock.monotonic() - self._ended >= AT_ONCE_SECONDS:
            tick()
            self._ended = self._clock.monotonic()


def tick(runtime: Runtime, send: Send) -> None:
    """Hand out what is due. A tick while Vault is away hands out nothing: it would only fail."""
    FormerQueue(runtime.shared.client, runtime.settings.queue).move()
    try:
        see_that_vault_is_ready(runtime)
    except VaultUnavailable:
        runtime.services.vault_away.seen(runtime.clock.now())
        raise
    shared = runtime.shared
    if not _is_whole(runtime):
        rebuild(runtime)
    _refuse_requests_without_target(runtime)
    for request, content in shared.requests.all().items():
        more = [content.by, True] if content.leaked else [content.by] if content.by else []
        hand_out(send, "rotator.rotate", [content.target, content.reason, *more], task_id=request)
    now = runtime.clock.now()
    threads = _threads(runtime)
    room = threads - shared.due.waiting(runtime.settings.queue)
    if room > 0:
        names = _claimed(runtime, now, room)
        for name in names:
            hand_out(send, "rotator.reconcile", [name])
        if not names:
            _hand_out_watches(runtime, send, now, watching_threads(threads, len(runtime.settings.accounts)))
    shared.notes.ticked(now)
    runtime.refused.tell_rest(runtime.clock)
    tend_api_keys(runtime)  # last: it may wait for HostUp


def _claimed(runtime: Runtime, now: datetime, room: int) -> list[str]:
    """What is due, but for accounts whose targets this process has no room for: they wait where they are."""
    passes, lease = runtime.outside(runtime.closed()), runtime.settings.worker.lease
    return claimed(runtime, room, lambda most: runtime.shared.due.claim(now, lease, most, passes))


def _is_whole(runtime: Runtime) -> bool:
    """Put right what no worker writes to Redis; False where some of what a worker writes is gone (wiped or evicted)."""
    scheduled, targets = _put_right(runtime), len(runtime.settings.targets)
    if max(scheduled.looks, scheduled.watches) > targets + MOST_STRANGERS:
        drop_all(runtime)
        scheduled = _put_right(runtime)
    return runtime.shared.due.is_built() and min(scheduled.looks, scheduled.watches) >= targets


def _put_right(runtime: Runtime) -> Scheduled:
    now = runtime.clock.now()
    last_watch = now + 2 * (runtime.longest_watch + runtime.settings.worker.lease)
    return runtime.shared.repairs.put_right(now, now + LONGEST_LOOK, last_watch)


def _hand_out_watches(runtime: Runtime, send: Send, now: datetime, share: int) -> None:
    """With nothing due, have a share of the threads look at what apps read; they go on by themselves."""
    lease, queue = runtime.settings.worker.lease, runtime.settings.queue
    passes = runtime.outside(runtime.closed(watching=True))
    watches = runtime.shared.watches
    for name in claimed(runtime, share, lambda most: watches.claim(now, lease, most, queue, passes)):
        hand_out(send, "rotator.watch", [name])


def rebuild(runtime: Runtime) -> None:
    """Make Redis fit the configuration: after it was wiped, and whenever a worker starts.

    Targets that have no next look get one, and each look then fills the index. Those whose schedule, grace or path has
    changed since they were looked at are looked at now. Of targets that are not configured nothing stays.
    """
    _put_right(runtime)
    names, shared = set(runtime.settings.targets), runtime.shared
    drop_all(runtime, said=False)
    _refuse_requests_without_target(runtime)
    now = runtime.clock.now()
    shared.watches.schedule_missing({name: _next_watch(runtime, name, now) for name in names})
    shared.due.schedule_missing(names, now)
    # not at the next audit only: a shorter interval may mean that the target is due by now
    changed = shared.index.changed_plans({name: target.plan() for name, target in runtime.settings.targets.items()})
    shared.due.wake_all(changed, now)
    _log.info(Event.INDEX_REBUILT, targets=len(names), changed=len(changed))


def _next_watch(runtime: Runtime, name: str, now: datetime) -> datetime:
    return next_watch(runtime.watch_every(runtime.target(name)), name, now)


def _refuse_requests_without_target(runtime: Runtime) -> None:
    """A request whose target left the configuration would be handed out and refused at every tick."""
    for request, content in runtime.shared.requests.all().items():
        if content.target not in runtime.settings.targets:
            runtime.shared.requests.drop(request)
            facts = {"request": request, "target": content.target}
            runtime.refused.tell(runtime.clock, partial(_log.error, Event.TASK_REFUSED, **_WITHOUT_TARGET, **facts))


def _threads(runtime: Runtime) -> int:
    """How many threads there are, so how many messages may wait; what is due beyond that, they take by themselves.

    A message costs two milliseconds of CPU, a fifth of a rotation; taking what is due costs a tenth of that.
    """
    return runtime.settings.worker.concurrency * max(1, len(runtime.shared.heartbeats.workers()))


def hand_out(send: Send, task: str, arguments: Sequence[str | bool], task_id: str | None = None) -> None:
    """Send a message. Raises QueueUnavailable."""
    try:
        send(task, args=list(arguments), task_id=task_id)
    except Exception as error:  # noqa: BLE001 - of a broker that goes away kombu even raises AttributeError
        raise unavailable(error) from None  # what was claimed comes back by itself


def see_that_vault_is_ready(runtime: Runtime) -> None:
    """See that Vault can be worked with at all; needs no token. Raises VaultSealed, VaultNoLeader, VaultUnavailable."""
    health = runtime.vault.health()
    if health.sealed or not health.initialized:
        raise VaultSealed(
            "Vault is sealed" if health.initialized else "Vault is not initialised",
            operation="health",
            hint="Unseal it. Until then no target is looked at; current keys stay as they are.",
        )
    if health.leaderless:
        raise VaultNoLeader(
            "Vault has no leader",
            operation="health",
            hint="See `vault operator raft list-peers`. Until there is one no target is looked at.",
        )
