"""Targets that left the configuration: what retires of them already is still deleted and proven dead.

Nothing else happens to such a target: its current key stays as it is until a person ends it (`rotator remove`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import timedelta

from worker.errors import RotatorError, Superseded, VaultError
from worker.events import Event
from worker.rotation.copy_access import published_of, stands_in
from worker.rotation.record import Record, RetiringKey, Why
from worker.rotation.services import Services
from worker.rotation.steps.retire import delete, prove_dead
from worker.rotation.steps.session import Session
from worker.rotation.survey import Survey
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.fields import PRESETS
from worker.targets.location import Location
from worker.targets.schedule import Schedule
from worker.targets.target import Target


def retire_leftovers(services: Services, seen: Survey, targets: Mapping[str, Target]) -> None:
    """Go on with what retires of targets that are not configured; what fails is logged, and tried at the next audit.

    A target whose path another one has now was renamed, or is about to be: it is left alone.
    """
    paths = {target.path for target in targets.values()}
    for name, record in seen.records.items():
        if name not in targets and record.path not in paths and record.retiring:
            retire_leftover(services, seen, name)


def prove_left_behind(services: Services, seen: Survey, targets: Mapping[str, Target]) -> None:
    """See whether deleted keys of accounts that their targets have left are dead: another target's key shows it.

    What fails is logged, and tried at the next audit. Raises VaultError.
    """
    witnesses = seen.witnesses()
    for name, record in seen.records.items():
        target, current = targets.get(name), record.current
        if target is None or current is None:
            continue
        for key in record.retiring:
            if key.deleted_at and key.account != current.account and key.account in witnesses:
                session = Session(services, target, services.store.load(name, target.path), witnesses=witnesses)
                _prove(session, key.access_key)


def _prove(session: Session, access_key: str) -> None:
    try:
        prove_dead(session, access_key)
    except Superseded:
        return  # a worker that looked at it was first
    except VaultError:
        raise
    except RotatorError as error:
        session.log(Event.TARGET_FAILED, **error.fields())


def retire_leftover(services: Services, seen: Survey, name: str) -> Record:
    """The same for one of them; its record afterwards."""
    session = leftover(services, name)
    session.witnesses = seen.witnesses()
    try:
        _retire(session, frozenset(_in_use(seen)))
    except RotatorError as error:
        session.log(Event.TARGET_FAILED, **error.fields())
    return session.record


def leftover(services: Services, name: str) -> Session:
    """The record of a target that is not configured, in hand. Raises RecordError, VaultError."""
    loaded = services.store.load(name, "")
    return Session(services, stand_in(loaded.record, stands_in(services, loaded.record)), loaded)


def stand_in(record: Record, also: tuple[Location, ...] = ()) -> Target:
    """What the steps need of a target that has no configuration any more; ``also`` is where its copies lie."""
    schedule = Schedule(every=timedelta(days=1))
    account = record.current.account if record.current else next(iter(sorted(record.accounts())), DEFAULT_ACCOUNT)
    target = Target(record.target, "", record.path, schedule, timedelta(0), PRESETS["plain"], also=also)
    return replace(target, account=account)


def _in_use(seen: Survey) -> Collection[str]:
    """Every key that some record has as current or staged: it is never deleted by another one's account."""
    rotations = [record.rotation for record in seen.records.values()]
    return [*_current(seen), *(rotation.key.access_key for rotation in rotations if rotation and rotation.key)]


def _current(seen: Survey) -> Collection[str]:
    return [record.current.access_key for record in seen.records.values() if record.current]


def _retire(session: Session, in_use: Collection[str]) -> None:
    for key in session.record.retiring:
        if key.wanted_at > session.now or key.access_key in in_use:
            continue
        if session.record.deletes_held and not key.deleted_at:
            continue  # Vault was set back: as in the decision for a target that is configured
        if not key.deleted_at and (_must_stay(session, key) or delete(session, key.access_key)):
            continue
        try:
            now_known = next((each for each in session.record.retiring if each.access_key == key.access_key), None)
            if now_known and now_known.deleted_at:
                prove_dead(session, key.access_key)
        except Superseded:
            session.reload()


def _must_stay(session: Session, key: RetiringKey) -> bool:
    """Whether apps read it, and no person wants it deleted all the same."""
    return key.why is not Why.REVOKED and key.access_key in published_of(session.services, session.record)
