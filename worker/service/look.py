"""What a look does: brings a target to where it should be, and writes down in Redis what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import structlog

from worker.adapters.redis.due import Passes
from worker.adapters.redis.index import IndexEntry
from worker.adapters.redis.locks import Hold
from worker.errors import Conflict, RecordError, RotatorError, VaultUnavailable
from worker.events import Event
from worker.rotation.lending import Lend, Lent, freely
from worker.rotation.observe import Observation
from worker.rotation.reconcile import reconcile
from worker.rotation.record import Record
from worker.rotation.status import summarize, unusable
from worker.service.assemble import Runtime
from worker.service.strangers import claimed
from worker.targets.account import logged
from worker.targets.backoff import fraction
from worker.targets.schedule import next_watch
from worker.targets.target import Target

Claim = Callable[[Passes | None], str | None]
"""Takes the next target that may be taken."""

_log = structlog.get_logger(__name__)


def look_while_due(runtime: Runtime, name: str) -> None:
    """Look at one target, then at whatever else is due, for the time of a tick and until a look fails.

    So the pace is not that of the ticks: what one hands out is soon done when much is due. Messages that wait go
    first; one that Celery has taken already waits for this thread, which is why it does not go on for ever.

    Raises UsageError for a target that is not configured, QueueUnavailable.
    """
    clock, lease, queue = runtime.clock, runtime.settings.worker.lease, runtime.settings.queue
    due = runtime.shared.due
    _go_on(runtime, name, lambda passes: due.claim_next(clock.now(), lease, queue, passes))


def watch_while_nothing_is_due(runtime: Runtime, name: str) -> None:
    """See what apps read of one target, then of others, for the time of a tick and until something is due.

    With as many threads watching as may, the target's turn comes a tick later.

    Raises UsageError for a target that is not configured, QueueUnavailable.
    """
    clock, lease, queue = runtime.clock, runtime.settings.worker.lease, runtime.settings.queue
    watches = runtime.shared.watches

    def claim(passes: Passes | None) -> str | None:
        return next(iter(watches.claim(clock.now(), lease, 1, queue, passes)), None)

    with runtime.watching.place(runtime.watching_threads) as free:
        if free:
            _go_on(runtime, name, claim, watching=True)
        else:
            watches.postpone(runtime.target(name).name, clock.now() + runtime.settings.worker.tick)


def _go_on(runtime: Runtime, name: str, claim: Claim, *, watching: bool = False) -> None:
    clock, accounts = runtime.clock, runtime.settings.accounts.keys()
    until = clock.monotonic() + runtime.settings.worker.tick.total_seconds()
    target: str | None = name
    while target and _look_if_there_is_room(runtime, target, watching=watching):
        closed = runtime.closed(watching=watching)
        if clock.stopping or clock.monotonic() >= until or closed >= accounts:
            return
        target = _next(runtime, claim, runtime.outside(closed))


def _next(runtime: Runtime, claim: Claim, passes: Passes | None) -> str | None:
    def claim_one(_: int) -> list[str]:
        name = claim(passes)
        return [] if name is None else [name]

    return next(iter(claimed(runtime, 1, claim_one)), None)


def _look_if_there_is_room(runtime: Runtime, name: str, *, watching: bool) -> bool:
    """Look at one target, or put it back where all threads that its account may have are taken.

    False when a look failed.
    """
    account = runtime.target(name).account
    with ExitStack() as places:
        free = places.enter_context(runtime.bulkhead.place(account, runtime.settings.worker.concurrency))
        if free and watching:
            free = places.enter_context(runtime.watch_bulkhead.place(account, runtime.watching_threads))
        if free:
            return _look_alone(runtime, name, _lending(runtime, account, watching=watching), watching=watching)
    now = runtime.clock.now()
    if watching:
        runtime.shared.watches.postpone(name, now)
    else:
        runtime.shared.due.look_sooner({name: now})
    return True


def _lending(runtime: Runtime, own: str, *, watching: bool) -> Lend:
    """Has the places of this account that a look has taken be another's for a while."""
    held = [(runtime.bulkhead, runtime.settings.worker.concurrency)]
    held += [(runtime.watch_bulkhead, runtime.watching_threads)] if watching else []

    @contextmanager
    def lend(account: str) -> Iterator[Lent]:
        whole = Lent()
        try:
            with ExitStack() as stack:
                parts = [stack.enter_context(bulkhead.lent(own, account, threads)) for bulkhead, threads in held]
                whole.free = all(part.free for part in parts)
                yield whole
        finally:
            whole.back = all(part.back for part in parts)

    return lend


def _look_alone(runtime: Runtime, name: str, lend: Lend = freely, *, watching: bool = False) -> bool:
    """Look at one target, unless another worker is at it; False when that failed."""
    target = runtime.target(name)
    hold = runtime.shared.locks.hold(target.name, runtime.settings.worker.lease)
    if not hold.mine:
        return True
    indexed = False
    try:
        with runtime.services.secrets_for_a_while():
            indexed = _look(runtime, target, hold, lend, watching=watching)
    finally:
        if not indexed:
            runtime.shared.locks.release(hold)
    return indexed


def _look(runtime: Runtime, target: Target, hold: Hold, lend: Lend, *, watching: bool) -> bool:
    now, seen = runtime.clock.now(), hold.seen
    try:
        found = reconcile(
            runtime.services,
            target,
            watching=watching,
            seen=hold.seen,
            allows_create=runtime.allows_create,
            lend=lend,
        )
        seen = found.seen
        entry = IndexEntry(
            target.name, summarize(found.record, found.due, found.wait), sorted(found.touched), target.plan()
        )
        next_look = found.wait.until
    except (RecordError, Conflict) as error:
        event = Event.RECORD_UNREADABLE if isinstance(error, RecordError) else Event.CONFLICT_FOUND
        _log.error(event, **(error.fields() | {"target": target.name} | logged(target.account)))
        entry = IndexEntry(target.name, unusable(error, target.name), (), target.plan())
        next_look = now + runtime.settings.worker.audit_every
    except RotatorError as error:
        _log.warning(Event.TARGET_FAILED, **(error.fields() | {"target": target.name} | logged(target.account)))
        if isinstance(error, VaultUnavailable):
            runtime.services.vault_away.seen(runtime.clock.now())
        runtime.shared.due.schedule(target.name, now + _soon(runtime, target.name))
        return False
    else:
        if watching or found.observation or found.mended:
            _keep_sighting(runtime, target, found.record, found.observation)
    runtime.shared.index.finish_look(entry, next_look, hold, seen)
    return True


def _keep_sighting(runtime: Runtime, target: Target, record: Record, seen: Observation | None) -> None:
    """How what apps read was seen goes into Redis only: a watch of a healthy target writes nothing to Vault.

    What was wrong with a key that the same look has replaced is over.
    """
    now = runtime.clock.now()
    at = seen.at.isoformat(timespec="seconds") if seen else None
    living_at = at if seen and seen.living else _last_seen_living_at(runtime, target)
    sighting = {
        "last_seen_living_at": living_at,
        "last_watched_at": at,
        "watch_found": seen.what if seen and not _is_over(record, seen) else "",
    }
    runtime.shared.watches.seen(target.name, sighting, next_watch(runtime.watch_every(target), target.name, now))


def _is_over(record: Record, seen: Observation) -> bool:
    key = record.current.access_key if record.current else None
    return seen.trouble is not None and seen.trouble.access_key != key


def _last_seen_living_at(runtime: Runtime, target: Target) -> object:
    return (runtime.shared.watches.sighting(target.name) or {}).get("last_seen_living_at")


def _soon(runtime: Runtime, name: str) -> timedelta:
    return runtime.settings.worker.tick * (1 + fraction(name))
