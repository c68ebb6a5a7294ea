"""Start here: ``reconcile``, the one loop that every rotation goes through.

Scheduled, asked for, retried or resumed after a crash, it is always the same: read what is recorded, decide the one
next step (:mod:`worker.rotation.decide`, pure), do it, record it, until there is nothing left to do now.
The steps are in :mod:`worker.rotation.steps.create`, :mod:`worker.rotation.steps.publish` and
:mod:`worker.rotation.steps.retire`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from worker.errors import Superseded, TryAgainLater
from worker.events import Event
from worker.rotation.changes.asking import asked_by_message
from worker.rotation.changes.rotation import requested
from worker.rotation.changes.watch import is_later, seen_of, set_back
from worker.rotation.decide import (
    ROTATION,
    WATCH,
    Archive,
    Begin,
    Delete,
    LeaveBehind,
    ProveDead,
    Publish,
    Recount,
    Revoke,
    Step,
    TakeOver,
    Verify,
    Wait,
    Watch,
    decide,
)
from worker.rotation.fresh import see_that_none_was_seen
from worker.rotation.lending import Lend, Lent, freely
from worker.rotation.observe import Observation
from worker.rotation.ports import NOTHING_SEEN, Seen
from worker.rotation.record import Record, Request
from worker.rotation.services import Services
from worker.rotation.status import due_at, moved
from worker.rotation.steps.create import begin, recount, take_over
from worker.rotation.steps.publish import leave_behind, publish, verify
from worker.rotation.steps.retire import delete, prove_dead
from worker.rotation.steps.revoke import revoke
from worker.rotation.steps.session import Pause, Session, always
from worker.rotation.steps.timing import timed
from worker.rotation.steps.watch import watch
from worker.targets.freeze import freeze_at
from worker.targets.target import Target

MOST_STEPS = 200
"""A guard against going round in circles; a rotation takes four steps, a retirement two."""

KEPT_ENTRIES = 20

STEP_NAMES: Mapping[type[Step], str] = {
    Begin: "begin",
    Verify: "verify",
    Publish: "publish",
    Revoke: "revoke",
    Delete: "delete",
    ProveDead: "prove_dead",
    TakeOver: "take_over",
    Recount: "recount",
    LeaveBehind: "leave_behind",
    Watch: "watch",
    Archive: "archive",
}
"""What each step is called where it is timed."""


@dataclass(frozen=True, slots=True)
class LookResult:
    """How a look at a target ended: its record, when it is ``due``, what it waits for, and the ids it touched.

    ``due`` is None where nothing begins by itself. ``mended``: a trouble that was on record before is there no more.
    """

    record: Record
    due: datetime | None
    wait: Wait
    touched: frozenset[str]
    observation: Observation | None = None
    version: int = 0
    mended: bool = False

    @property
    def seen(self) -> Seen:
        """What is kept beside Vault, to know by that the record was set back."""
        return seen_of(self.record, self.version)


def reconcile(
    services: Services,
    target: Target,
    *,
    watching: bool = False,
    seen: Seen = NOTHING_SEEN,
    allows_create: Callable[[str], bool] = always,
    lend: Lend = freely,
) -> LookResult:
    """Bring one target to where it should be, as far as possible now; ``watching``: and see what apps read.

    ``seen`` is what a worker saw last of the record. ``allows_create`` is asked before a key is made; where it says no,
    that waits for a tick. ``lend`` is asked before a step on another account than the target's; where that has no room,
    the step waits for a tick.

    Raises RecordError (the record cannot be used, or is gone), Conflict (the target was moved to another path),
    VaultError (Vault cannot be used; nothing is recorded then) and TryAgainLater.
    """
    session = _opened(services, target)
    session.allows_create, session.lend = allows_create, lend
    troubled = session.record.trouble is not None
    _see_that_vault_was_not_set_back(session, seen)
    for _ in range(MOST_STEPS):
        now = session.now
        due, freeze = due_at(session.record, target, now), freeze_at(target.freezes, now)
        watch_now = watching and session.observation is None
        step = decide(session.record, due, now, session.pauses, watch=watch_now, freeze=freeze, account=target.account)
        if session.turned_away:
            step = Wait(now, "a thread of its account")
        if isinstance(step, Wait):
            mended = troubled and session.record.trouble is None
            wait, touched = _with_reason(session, step), frozenset(session.touched)
            return LookResult(session.record, due, wait, touched, session.observation, session.loaded.version, mended)
        try:
            name, rotation_id = STEP_NAMES[type(step)], _rotation_of(step, session.record)
            pause = timed(session, name, rotation_id, partial(_do_at_its_account, session, step))
        except Superseded as error:
            session.log(Event.LEASE_LOST, error=error.what)
            session.reload()
            continue
        if pause:
            session.pause(pause)
    raise TryAgainLater(f"there was no end after {MOST_STEPS} steps", target=target.name, hint="It is looked at again.")


def _see_that_vault_was_not_set_back(session: Session, seen: Seen) -> None:
    """Hold deletes where it was. Raises TryAgainLater where a standby is behind for longer, RecordDeleted."""
    if not _is_older(session, seen):
        return
    session.reload(seen.version)  # a standby may have answered that is behind
    version, older, now = session.loaded.version, session.record, session.now
    if version == 0:
        see_that_none_was_seen(session.target, seen.version)
    if _is_older(session, seen):
        # Vault takes this in the place of that record only: else it was not the newest, and nothing was set back
        session.change(lambda record: set_back(record, seen.version, version, now) if record is older else record)
    if _is_older(session, seen):
        raise TryAgainLater(
            f"Vault answers with version {session.loaded.version} of the record, and has version {seen.version}",
            target=session.target.name,
            hint="A standby of Vault is behind. It is looked at again; nothing is done by what is old.",
        )


def _is_older(session: Session, seen: Seen) -> bool:
    """Whether the record is older than what was seen, and does not say itself that it was set back."""
    return not (session.record.deletes_held or is_later(session.record, session.loaded.version, seen))


def accept(services: Services, target: Target, request: Request, by: str = "") -> Record:
    """Put a request for a rotation on record, and who asks, once however often it comes.

    Raises RecordError, VaultError.
    """
    session = _opened(services, target)
    session.change(lambda record: requested(record, request, by))
    return session.record


def accept_message(
    services: Services, target: Target, request: Request, per_hour: int, by: str = "", *, leak_said: bool = False
) -> None:
    """The same for a request that came as a message, so many an hour. Raises RequestLimited, too.

    ``leak_said``: the message says that keys leaked, and is not believed; that goes on record for a person.
    """
    _opened(services, target).change(
        lambda record: asked_by_message(record, request, per_hour, by, leak_said=leak_said)
    )


def _opened(services: Services, target: Target) -> Session:
    began = min(services.clock.now(), services.machine.now()) if services.machine else services.clock.now()
    session = Session(services, target, services.store.open(target), known_at=began)
    _see_that_path_is_the_same(session)
    return session


def _rotation_of(step: Step, record: Record) -> str | None:
    """The rotation that a step belongs to, of a key on its way out the one that made it; None where none is known."""
    match step:
        case Verify() | Publish():
            return step.rotation_id
        case Delete() | ProveDead():
            return next((key.rotation_id for key in record.leaving if key.access_key == step.access_key), None)
        case TakeOver():
            return record.rotation.id if record.rotation else None
    return None


def _do_at_its_account(session: Session, step: Step) -> Pause | None:
    """Do a step. One on another account than the target's is done by a thread of that one, where there is room.

    Else targets that have moved away from an account that is silent would hold the threads of the one they moved to.
    """
    account, kind = _where(step, session.record) or (session.target.account, "")
    if account == session.target.account:
        return _do(session, step)
    lent = Lent()
    try:
        with session.lend(account) as lent:
            if lent.free:
                return _do(session, step)
    finally:
        session.turned_away = not lent.back
    until = session.now + session.services.policy.tick
    return Pause(kind, until, f"all threads that work for account {account} are busy")


def _where(step: Step, record: Record) -> tuple[str, str] | None:
    """The account that a step asks, and the kind of pause that holds it; None for one that may not wait."""
    match step:
        case Verify() | Publish() if record.rotation:
            return record.rotation.account, ROTATION
        case Watch() if record.current:
            return record.current.account, WATCH
        case Revoke() if record.current:
            return record.current.account, step.access_key
        case Delete() | ProveDead():
            found = next((key for key in record.retiring if key.access_key == step.access_key), None)
            return (found.account, step.access_key) if found else None
    return None


def _do(session: Session, step: Step) -> Pause | None:
    match step:
        case Begin():
            return begin(session, step)
        case Verify():
            return verify(session, step.rotation_id)
        case Revoke() | Delete() | ProveDead():
            return _take_away(session, step)
        case Publish():
            publish(session, step.rotation_id)
        case TakeOver():
            take_over(session, step.holder)
        case Watch():
            return watch(session)
        case Recount():
            recount(session)
        case LeaveBehind():
            leave_behind(session, step.rotation_id)
        case Archive():
            session.loaded = session.services.store.archive(session.loaded, KEPT_ENTRIES)
    return None


def _take_away(session: Session, step: Revoke | Delete | ProveDead) -> Pause | None:
    match step:
        case Revoke():
            return revoke(session, step.access_key)
        case Delete():
            return delete(session, step.access_key)
        case ProveDead():
            return prove_dead(session, step.access_key)


def _with_reason(session: Session, wait: Wait) -> Wait:
    """What a target waits for, with the reason where a step gave one that is not on record."""
    why = session.reasons.get(wait.until)
    return Wait(wait.until, f"{wait.why}: {why}") if why else wait


def _see_that_path_is_the_same(session: Session) -> None:
    conflict = moved(session.record, session.target)
    if conflict:
        raise conflict
    path = session.target.path
    session.change(lambda record: replace(record, path=path) if record.is_bare and record.path != path else record)
