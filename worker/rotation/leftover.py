"""Keys of targets that left the configuration: those that retire already are still deleted and proven dead.

Nothing else happens to such a target: its current key stays as it is, and a person decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from worker.errors import RotatorError, Superseded
from worker.events import Event
from worker.rotation.record import Record, RetiringKey
from worker.rotation.services import Services
from worker.rotation.steps.retire import delete, prove_dead
from worker.rotation.steps.session import Session
from worker.rotation.survey import Survey
from worker.targets.fields import PRESETS
from worker.targets.schedule import Schedule
from worker.targets.target import Target


def retire_leftovers(services: Services, seen: Survey, targets: Mapping[str, Target]) -> None:
    """Go on with what retires of targets that are not configured; what fails is logged, and tried at the next audit.

    A target whose path another one has now was renamed, or is about to be: it is left alone.
    """
    paths = {target.path for target in targets.values()}
    in_use = frozenset(_in_use(seen))
    for name, record in seen.records.items():
        if name in targets or record.path in paths or not record.retiring:
            continue
        session = Session(services, _stand_in(record), services.store.load(name, record.path))
        try:
            _retire(session, in_use)
        except RotatorError as error:
            session.log(Event.TARGET_FAILED, **error.fields())


def _in_use(seen: Survey) -> Collection[str]:
    """Every key that some record has as current or staged: it is never deleted by another one's account."""
    current = [record.current.access_key for record in seen.records.values() if record.current]
    rotations = [record.rotation for record in seen.records.values()]
    return [*current, *(rotation.key.access_key for rotation in rotations if rotation and rotation.key)]


def _stand_in(record: Record) -> Target:
    """What the steps need of a target that has no configuration any more."""
    schedule = Schedule(every=timedelta(days=1))
    return Target(record.target, "", record.path, schedule, timedelta(0), PRESETS["plain"])


def _retire(session: Session, in_use: Collection[str]) -> None:
    for key in session.record.retiring:
        if key.wanted_at > session.now or key.access_key in in_use:
            continue
        if session.record.deletes_held and not key.deleted_at:
            continue  # Vault was set back: as in the decision for a target that is configured
        if not key.deleted_at and (_is_published(session, key) or delete(session, key.access_key)):
            continue
        try:
            now_known = next((each for each in session.record.retiring if each.access_key == key.access_key), None)
            if now_known and now_known.deleted_at:
                prove_dead(session, key.access_key)
        except Superseded:
            session.reload()


def _is_published(session: Session, key: RetiringKey) -> bool:
    """Whether the key stands anywhere in the app's secret, by whatever name: the names are known no more."""
    data = session.services.vault.read(session.target.path).data or {}
    return any(key.access_key in str(value) for value in data.values())
