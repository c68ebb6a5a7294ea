"""Start here: ``reconcile``, the one loop that every rotation goes through.

Scheduled, asked for, retried or resumed after a crash, it is always the same: read what is recorded, decide the one
next step (:mod:`worker.rotation.decide`, pure), do it, record it, until there is nothing to do or a time to wait for.
The steps are in :mod:`worker.rotation.steps.create`, :mod:`worker.rotation.steps.publish` and
:mod:`worker.rotation.steps.retire`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from worker.errors import Superseded, TryAgainLater
from worker.events import Event
from worker.rotation.changes.rotation import request
from worker.rotation.decide import (
    Archive,
    Begin,
    DeclareUnknown,
    Delete,
    ProveDead,
    Publish,
    Recount,
    Step,
    Verify,
    Wait,
    decide,
)
from worker.rotation.record import Record, Request
from worker.rotation.services import World
from worker.rotation.status import due_at, moved
from worker.rotation.steps.create import recount, start, take_over
from worker.rotation.steps.publish import publish, verify
from worker.rotation.steps.retire import delete, prove_dead
from worker.rotation.steps.session import Pause, Work
from worker.targets.target import Target

MOST_STEPS = 200
"""A guard against going round in circles; a rotation takes four steps, a retirement two."""

KEPT_ENTRIES = 20


@dataclass(frozen=True, slots=True)
class Looked:
    """How a look at a target ended: its record, when it wants the next look and why, and the ids it touched."""

    record: Record
    due: datetime
    next_look: datetime
    why: str
    touched: frozenset[str]


def reconcile(world: World, target: Target) -> Looked:
    """Bring one target to where it should be, as far as that can be done now.

    Raises RecordError (the record cannot be used), Conflict (the target was moved to another path), VaultError (Vault
    cannot be used; nothing is recorded then) and TryAgainLater.
    """
    work = Work(world, target, world.store.load(target.name, target.path))
    _see_that_path_is_the_same(work)
    for _ in range(MOST_STEPS):
        due = due_at(work.record, target, work.now)
        step = decide(work.record, due, work.now, work.pauses)
        if isinstance(step, Wait):
            return Looked(work.record, due, step.until, step.why, frozenset(work.touched))
        try:
            pause = _do(work, step)
        except Superseded as error:
            work.log(Event.LEASE_LOST, error=error.what)
            work.reload()
            continue
        if pause:
            work.pauses[pause.kind] = pause.until
    raise TryAgainLater(f"there was no end after {MOST_STEPS} steps", target=target.name, hint="It is looked at again.")


def accept(world: World, target: Target, wish: Request) -> Record:
    """Put a wish for a rotation on record, once however often it comes. Raises RecordError, VaultError."""
    work = Work(world, target, world.store.load(target.name, target.path))
    _see_that_path_is_the_same(work)
    work.change(lambda record: request(record, wish))
    return work.record


def next_look(record: Record, target: Target, now: datetime) -> datetime:
    """When a target wants to be looked at, by its record alone."""
    step = decide(record, due_at(record, target, now), now, {})
    return step.until if isinstance(step, Wait) else now


def _do(work: Work, step: Step) -> Pause | None:
    match step:
        case Begin():
            return start(work, step)
        case Verify():
            return verify(work, step.rotation_id)
        case Delete():
            return delete(work, step.access_key)
        case ProveDead():
            return prove_dead(work, step.access_key)
        case Publish():
            publish(work, step.rotation_id)
        case DeclareUnknown():
            take_over(work, step.holder)
        case Recount():
            recount(work)
        case Archive():
            work.loaded = work.world.store.archive(work.loaded, KEPT_ENTRIES)
    return None


def _see_that_path_is_the_same(work: Work) -> None:
    conflict = moved(work.record, work.target)
    if conflict:
        raise conflict
