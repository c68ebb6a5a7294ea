"""The step that begins a rollback: see that the old key still works, and put the intent on record.

Publishing it is the same step as that of a new key (:mod:`worker.rotation.steps.publish`).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from worker.clock import moment
from worker.errors import StorageError, UsageError
from worker.rotation.changes.rollback import brought_back, rollback_begun
from worker.rotation.changes.rotation import ROLLBACK
from worker.rotation.changes.settlement import found_in
from worker.rotation.hold import pause_of
from worker.rotation.ports import Document, Life
from worker.rotation.record import Lease, Phase, RetiringKey, Rotation, StagedKey
from worker.rotation.size import see_that_it_fits, trimmed
from worker.rotation.steps.copies import look_at_copies
from worker.rotation.steps.create import look_first
from worker.rotation.steps.session import Session
from worker.secret import Secret
from worker.targets.schedule import next_rotation


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which key is to be current again (None: the one before), why, and who asked."""

    access_key: str | None
    reason: str
    by: str


def rollback_of(session: Session, wanted: Wanted) -> Rotation:
    """Look at everything a rollback rests on, and change nothing; answers the intent.

    Raises UsageError with what forbids it, TryAgainLater, StorageError, Conflict, RecordTooLarge, VaultError (also
    CopyFailed).
    """
    key = brought_back(session.record, wanted.access_key, session.now, session.services.policy.lease)
    _see_that_it_is_of_the_account(session, key)
    session.services.at(key.account).storage.see_that_it_can_be_asked()
    expected = look_first(session)
    look_at_copies(session)  # all of them go back, or none
    see_that_it_fits(trimmed(session.record))
    document = _old_secret(session, key)
    intent = _intent(session, key, document, wanted, expected)
    _see_that_it_may_stay(session, intent)
    return intent


def _see_that_it_is_of_the_account(session: Session, key: RetiringKey) -> None:
    """A key of another account would be replaced at once, as the target does not belong there. Raises UsageError."""
    target = session.target
    if key.account != target.account:
        raise UsageError(
            f"access key {key.access_key} lies on account {key.account}, and the target belongs to {target.account}",
            target=target.name,
            hint="Nothing was changed. Set its account back in the configuration: a new key is made there at once.",
        )


def begin_rollback(session: Session, intent: Rotation, by: str) -> None:
    """Put the intent on record. Raises as :func:`rollback_of`."""
    margin = session.services.policy.lease
    session.change(lambda record: rollback_begun(record, intent, margin, by))


def next_after(session: Session, intent: Rotation) -> datetime | None:
    """When the key that comes back is rotated by the schedule; a moment that has passed: at once."""
    target, now = session.target, session.now
    born = intent.key.created_at if intent.key else now
    return next_rotation(target.schedule, target.name, target.schedule.counts_from(born, now), now, target.freezes)


def _see_that_it_may_stay(session: Session, intent: Rotation) -> None:
    """A key that is too old already would be replaced at once, unless a person has that wait."""
    due, name, now = next_after(session, intent), session.target.name, session.now
    if due is None or due > now or pause_of(session.record, now):
        return
    key = intent.key.access_key if intent.key else ""
    raise UsageError(
        f"access key {key} is older than `every` allows, so another one would be made at once",
        target=name,
        hint=f"Nothing was changed. To have that wait: `rotator pause {name} --until 2d`, and then roll back.",
    )


def _old_secret(session: Session, key: RetiringKey) -> Document:
    """The version of the app's secret that holds the key, with a secret that works."""
    target, version = session.target, key.vault_version or 0
    document = session.services.vault.read_version(target.path, version)
    data = document.data or {}
    secret = target.fields.read(data, "secret_key")
    if target.fields.read(data, "access_key") != key.access_key or not secret:
        gone = document.absence or "no longer that of this key"
        raise UsageError(
            f"version {version} of {target.path}, which held access key {key.access_key}, is {gone}",
            target=target.name,
            hint="Nothing was changed: without its secret the key is of no use. For a new key: `rotator rotate`.",
        )
    session.services.keep_secret(Secret(secret))
    probe = session.services.at(key.account).storage.works(key.access_key, Secret(secret))
    if probe.life is Life.DEAD:
        raise UsageError(
            f"the object storage refuses access key {key.access_key}: {probe.code or probe.detail}",
            target=target.name,
            hint="Nothing was changed. For a new key: `rotator rotate`.",
        )
    if probe.life is not Life.ALIVE:
        raise StorageError(
            f"the object storage does not say whether access key {key.access_key} works: {probe.code or probe.detail}",
            target=target.name,
            hint="Nothing was changed. Try again; see `rotator check`.",
        )
    return document


def _intent(session: Session, key: RetiringKey, document: Document, wanted: Wanted, expected: int) -> Rotation:
    now, fields, data = session.now, session.target.fields, document.data or {}
    rotation_id, found = str(uuid.uuid4()), found_in(fields, document)
    staged = StagedKey(
        access_key=key.access_key,
        secret_key=Secret(fields.read(data, "secret_key") or ""),
        request_id=key.request_id,
        created_at=_created_at(fields.read(data, "created_at"), now),
        verify_by=key.retire_after - session.services.policy.lease,
    )
    return Rotation(
        id=rotation_id,
        phase=Phase.STAGED,
        trigger=ROLLBACK,
        reason=wanted.reason,
        started_at=now,
        label=(found.label if found else None) or session.target.render_label(key.rotation_id or rotation_id, now),
        expected_version=expected,
        key_count_before=None,
        lease=Lease(holder=rotation_id, until=now),
        key=staged,
        from_version=key.vault_version,
        account=key.account,
        from_copies=key.copies,
    )


def _created_at(text: object, now: datetime) -> datetime:
    found = moment(text)
    return found if found and found <= now else now
