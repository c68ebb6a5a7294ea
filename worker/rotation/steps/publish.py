"""The steps that bring a staged key to the apps: verify that it works, then write the app's secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from worker.errors import (
    AccountGone,
    Conflict,
    RotatorError,
    Superseded,
    VaultCasMismatch,
    VaultError,
    VaultUnavailable,
)
from worker.rotation.changes.rollback import rollback_given_up
from worker.rotation.changes.rotation import (
    ROLLBACK,
    Grace,
    copied,
    expecting,
    left_behind,
    published,
    refused,
    verified,
)
from worker.rotation.decide import ROTATION
from worker.rotation.ports import Document, Life, Probe
from worker.rotation.record import CopyVersion, Record, Rotation, StagedKey
from worker.rotation.steps.copies import Copying, destroy_rolled_back, is_of_current, write_copies
from worker.rotation.steps.promised import promised
from worker.rotation.steps.session import Pause, Session
from worker.targets.backoff import next_verify
from worker.targets.schedule import next_rotation

SHORT_PAUSE = 2.0
"""Seconds that a worker waits with the target in hand; for longer ones it turns to other targets."""


def verify(session: Session, rotation_id: str) -> Pause | None:
    """See whether the staged key works yet."""
    rotation, key = _staged(session, rotation_id)
    since = session.services.clock.monotonic()
    in_time = session.latest < key.verify_by
    try:
        storage = session.services.at(rotation.account).storage
    except AccountGone as error:
        session.fail(error, "verify", rotation.id)
        return None
    probe = storage.works(key.access_key, key.secret_key)
    now = session.now
    if rotation.trigger == ROLLBACK and (probe.life is Life.DEAD or not in_time):
        _give_up_rollback(session, rotation, probe if in_time else None)
        return None
    if probe.life is Life.ALIVE:
        session.change(lambda record: verified(record, rotation.id, now), since=since)
        return None
    if now < key.verify_by:
        return _ask_again(session, key, now, probe)
    _give_up(session, rotation, key, probe)
    return None


def leave_behind(session: Session, rotation_id: str) -> None:
    """The target belongs to another account by now: give the staged key up, as no app has read it."""
    rotation, _ = _staged(session, rotation_id)
    now, account = session.now, session.target.account
    if rotation.trigger == ROLLBACK:
        why, margin = f"the target belongs to account {account} by now", session.services.policy.lease
        session.change(lambda record: rollback_given_up(record, rotation.id, why, now, margin))
    else:
        session.change(lambda record: left_behind(record, rotation.id, account, now))


def _ask_again(session: Session, key: StagedKey, now: datetime, probe: Probe) -> Pause | None:
    pause = next_verify(now - key.created_at)
    if pause.total_seconds() <= SHORT_PAUSE and not session.services.clock.wait(pause.total_seconds()):
        return None
    return Pause(ROTATION, now + pause, f"the new key is not accepted yet: {probe.code or probe.detail}")


def _give_up(session: Session, rotation: Rotation, key: StagedKey, probe: Probe) -> None:
    """Only a clear refusal retires the key; a storage that cannot be asked says nothing against it."""
    code = probe.code or probe.status or probe.detail
    if probe.life is not Life.DEAD:
        why = RotatorError(
            f"the object storage cannot tell whether access key {key.access_key} works: {code} {probe.detail}".rstrip(),
            target=session.target.name,
            hint="The key stays staged and is asked about again; see that the storage's endpoint answers.",
        )
        session.fail(why, "verify", rotation.id)
        return
    why = RotatorError(
        f"the object storage refused access key {key.access_key} until {key.verify_by.isoformat()}: {code}",
        target=session.target.name,
        request_id=key.request_id,
        hint="That key is retired and another one made. If it happens again, ask HostUp, naming the requestId.",
    )
    now, retry_at = session.now, session.now + session.backoff()
    session.change(lambda record: refused(record, rotation.id, why, now, retry_at))


def _give_up_rollback(session: Session, rotation: Rotation, probe: Probe | None) -> None:
    why = "the grace period of the key was about to end"
    if probe:
        why = f"the object storage refused the key: {probe.code or probe.detail}"
    now, margin = session.now, session.services.policy.lease
    session.change(lambda record: rollback_given_up(record, rotation.id, why, now, margin))


def publish(session: Session, rotation_id: str) -> None:
    """Write the app's secret and its copies with check-and-set, and record it once all have the key.

    Safe to repeat: each of them tells whose it is. What cannot be written keeps no other from being written.
    """
    rotation, key = _staged(session, rotation_id)
    since = session.services.clock.monotonic()
    failures: list[RotatorError] = []
    copying, version, grace = Copying(list(rotation.copies)), None, timedelta(0)
    try:
        content = _content(session, rotation, key)
        version = _written(session, rotation, key, content, failures)
        if version is None and not failures:
            return
        copying = write_copies(session, rotation, key, content)
        if copying.again and not failures:
            return
        failures += copying.failures
        grace = timedelta(0) if failures else promised(session, rotation, copying)
    except RotatorError as error:
        if isinstance(error, Superseded | VaultUnavailable):
            raise
        failures.append(error)
    copies = tuple(copying.copies)
    if version is None or failures:
        _note_failures(session, rotation.id, copies, failures)
        return
    if rotation.from_version:
        destroy_rolled_back(session, rotation, key.access_key)
    _record(session, rotation.id, version, copies, grace, since=since)


def _record(
    session: Session, rotation_id: str, version: int, copies: tuple[CopyVersion, ...], grace: timedelta, *, since: float
) -> None:
    """All have the key: it is published, and the grace of the one before begins."""
    now = session.now
    ends = Grace(grace + (session.latest - now), session.earliest - now)

    def change(record: Record) -> Record:
        return published(copied(record, rotation_id, copies), rotation_id, version, now, ends)

    session.change(change, since=since)


def _written(
    session: Session, rotation: Rotation, key: StagedKey, content: Mapping[str, object], failures: list[RotatorError]
) -> int | None:
    """The version of the app's secret. What went wrong goes into ``failures``, unless it ends the step."""
    try:
        return _write_secret(session, rotation, key, content)
    except (Superseded, VaultUnavailable):
        raise
    except RotatorError as error:
        failures.append(error)
        return None


def _note_failures(
    session: Session, rotation_id: str, copies: tuple[CopyVersion, ...], failures: list[RotatorError]
) -> None:
    """The rotation stays open: what has the new key already is on record, and what does not is named."""
    session.change(lambda record: copied(record, rotation_id, copies))
    why = failures[0]
    why.what = "; ".join(failure.what for failure in failures)
    session.fail(why, "publish", rotation_id)


def _content(session: Session, rotation: Rotation, key: StagedKey) -> dict[str, object]:
    values = session.target.fields.to_secret(_values(session, rotation, key))
    return {**dict(session.target.extra), **values}


def _write_secret(session: Session, rotation: Rotation, key: StagedKey, content: Mapping[str, object]) -> int | None:
    path = session.target.path
    content = {**_added(session, rotation), **content}
    try:
        return session.services.vault.write(path, content, rotation.expected_version).version
    except VaultCasMismatch:
        return _settle_write(session, rotation, key, session.services.vault.read(path))
    except VaultUnavailable as error:
        return _read_after(session, rotation, key, error)


def _added(session: Session, rotation: Rotation) -> dict[str, object]:
    """What somebody added to the secret that is replaced, if it is one of ours; read again where it is not in hand."""
    document = session.secret
    if session.record.current is None or rotation.expected_version == 0:
        return {}
    if document is None or document.version != rotation.expected_version:
        document = session.secret = session.services.vault.read(session.target.path, rotation.expected_version)
    return session.target.fields.added(document.data or {}) if is_of_current(session, document) else {}


def _names(session: Session, document: Document) -> tuple[str | None, str | None]:
    """The rotation and the access key that an app's secret names."""
    fields, data = session.target.fields, document.data or {}
    return fields.read(data, "rotation_id"), fields.read(data, "access_key")


def _read_after(session: Session, rotation: Rotation, key: StagedKey, error: VaultUnavailable) -> int | None:
    """A write whose answer was lost: read to find out; when nothing is there yet, it is simply done again."""
    try:
        document = session.services.vault.read(session.target.path)
    except VaultError:
        raise error from None
    if document.version == rotation.expected_version:
        raise error
    return _settle_write(session, rotation, key, document)


def _settle_write(session: Session, rotation: Rotation, key: StagedKey, document: Document) -> int | None:
    """Another version stands there: ours from before, nothing, or somebody else's."""
    if _names(session, document) == (rotation.id, key.access_key):
        return document.version
    if document.data is None or is_of_current(session, document):  # deleted, or somebody added a field to it meanwhile
        session.change(lambda record: expecting(record, rotation.id, document.version))
        return None
    session.reload()
    if not _is_under_way(session.record, rotation.id):
        raise Superseded(f"rotation {rotation.id} was finished by another worker", target=session.target.name)
    raise Conflict(
        f"Vault holds version {document.version} at {session.target.path}, which this project did not write "
        f"(version {rotation.expected_version} was expected)",
        target=session.target.name,
        request_id=key.request_id,
        hint=f"The new key stays staged. If the key in that version may be replaced, run "
        f"`rotator adopt {session.target.name} --access-key KEY`; else put the version before back.",
    )


def _values(session: Session, rotation: Rotation, key: StagedKey) -> dict[str, object]:
    """What the app reads, under our own names (docs/apps.md)."""
    now, target, storage = session.now, session.target, session.services.at(rotation.account).storage
    # as planned at this moment; a change of the schedule is no reason to write a secret that apps restart for
    last = target.schedule.counts_from(key.created_at, now)
    due = next_rotation(target.schedule, target.name, last, now, target.freezes)
    return {
        "access_key": key.access_key,
        "secret_key": key.secret_key.reveal(),
        "endpoint": storage.endpoint,
        "region": storage.region,
        "label": rotation.label,
        "request_id": key.request_id or "",
        "rotation_id": rotation.id,
        "created_at": key.created_at.isoformat(),
        "grace_seconds": int(target.grace.total_seconds()),
        "next_rotation_at": due.isoformat(timespec="seconds") if due else "",
    }


def _staged(session: Session, rotation_id: str) -> tuple[Rotation, StagedKey]:
    rotation = session.record.rotation
    if rotation is None or rotation.id != rotation_id or rotation.key is None:
        raise Superseded(f"rotation {rotation_id} is no longer under way", target=session.target.name)
    session.services.keep_secret(rotation.key.secret_key)
    return rotation, rotation.key


def _is_under_way(record: Record, rotation_id: str) -> bool:
    return record.rotation is not None and record.rotation.id == rotation_id
