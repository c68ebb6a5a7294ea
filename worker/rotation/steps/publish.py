"""The steps that bring a staged key to the apps: verify that it works, then write the app's secret."""

from __future__ import annotations

from datetime import datetime

from worker.errors import Conflict, RotatorError, Superseded, VaultCasMismatch, VaultError, VaultUnavailable
from worker.rotation.changes.rotation import expecting, published, refused, verified
from worker.rotation.decide import ROTATION
from worker.rotation.ports import Document, Life, Probe
from worker.rotation.record import Record, Rotation, StagedKey
from worker.rotation.steps.session import Pause, Work
from worker.targets.backoff import next_verify

SHORT_PAUSE = 2.0
"""Seconds that a worker waits with the target in hand; for longer ones it turns to other targets."""


def verify(work: Work, rotation_id: str) -> Pause | None:
    """See whether the staged key works yet."""
    rotation, key = _staged(work, rotation_id)
    since = work.world.clock.monotonic()
    probe = work.world.storage.works(key.access_key, key.secret_key)
    now = work.now
    if probe.life is Life.ALIVE:
        work.change(lambda record: verified(record, rotation.id, now), since=since)
        return None
    if now < key.verify_by:
        return _ask_again(work, key, now, probe)
    _give_up(work, rotation, key, probe)
    return None


def _ask_again(work: Work, key: StagedKey, now: datetime, probe: Probe) -> Pause | None:
    pause = next_verify(now - key.created_at)
    if pause.total_seconds() <= SHORT_PAUSE and not work.world.clock.wait(pause.total_seconds()):
        return None
    return Pause(ROTATION, now + pause, f"the new key is not accepted yet: {probe.code or probe.detail}")


def _give_up(work: Work, rotation: Rotation, key: StagedKey, probe: Probe) -> None:
    """Only a clear refusal retires the key; a storage that cannot be asked says nothing against it."""
    code = probe.code or probe.status or probe.detail
    if probe.life is not Life.DEAD:
        why = RotatorError(
            f"the object storage cannot tell whether access key {key.access_key} works: {code} {probe.detail}".rstrip(),
            target=work.target.name,
            hint="The key stays staged and is asked about again; see that the storage's endpoint answers.",
        )
        work.fail(why, "verify", rotation.id)
        return
    why = RotatorError(
        f"the object storage refused access key {key.access_key} until {key.verify_by.isoformat()}: {code}",
        target=work.target.name,
        request_id=key.request_id,
        hint="That key is retired and another one made. If it happens again, ask HostUp, naming the requestId.",
    )
    now, retry_at = work.now, work.now + work.backoff()
    work.change(lambda record: refused(record, rotation.id, why, now, retry_at))


def publish(work: Work, rotation_id: str) -> None:
    """Write the app's secret with check-and-set, and record it. Safe to repeat: the secret tells whose it is."""
    rotation, key = _staged(work, rotation_id)
    since = work.world.clock.monotonic()
    try:
        version = _write_secret(work, rotation, key)
    except RotatorError as error:
        if isinstance(error, Superseded | VaultUnavailable):
            raise
        work.fail(error, "publish", rotation.id)
        return
    if version is None:
        return
    now, grace = work.now, work.target.grace
    work.change(lambda record: published(record, rotation.id, version, now, grace), since=since)


def _write_secret(work: Work, rotation: Rotation, key: StagedKey) -> int | None:
    path = work.target.path
    values = _values(work, rotation, key)
    try:
        return work.world.vault.write(path, work.target.fields.to_secret(values), rotation.expected_version).version
    except VaultCasMismatch:
        return _settle_write(work, rotation, key, work.world.vault.read(path))
    except VaultUnavailable as error:
        return _read_after(work, rotation, key, error)


def _read_after(work: Work, rotation: Rotation, key: StagedKey, error: VaultUnavailable) -> int | None:
    """A write whose answer was lost: read to find out; when nothing is there yet, it is simply done again."""
    try:
        document = work.world.vault.read(work.target.path)
    except VaultError:
        raise error from None
    if document.version == rotation.expected_version:
        raise error
    return _settle_write(work, rotation, key, document)


def _settle_write(work: Work, rotation: Rotation, key: StagedKey, document: Document) -> int | None:
    """Another version stands there: ours from before, nothing, or somebody else's."""
    fields = work.target.fields
    data = document.data
    if data is None:
        work.change(lambda record: expecting(record, rotation.id, document.version))
        return None
    if fields.read(data, "rotation_id") == rotation.id and fields.read(data, "access_key") == key.access_key:
        return document.version
    work.reload()
    if not _is_under_way(work.record, rotation.id):
        raise Superseded(f"rotation {rotation.id} was finished by another worker", target=work.target.name)
    raise Conflict(
        f"Vault holds version {document.version} at {work.target.path}, which this project did not write "
        f"(version {rotation.expected_version} was expected)",
        target=work.target.name,
        request_id=key.request_id,
        hint=f"The new key stays staged. If the key in that version may be replaced, run "
        f"`rotator adopt {work.target.name} --access-key KEY`; else put the version before back.",
    )


def _values(work: Work, rotation: Rotation, key: StagedKey) -> dict[str, object]:
    """What the app reads, under our own names (design.md, "What apps read")."""
    return {
        "access_key": key.access_key,
        "secret_key": key.secret_key.reveal(),
        "endpoint": work.world.storage.endpoint,
        "region": work.world.storage.region,
        "label": rotation.label,
        "request_id": key.request_id or "",
        "rotation_id": rotation.id,
        "created_at": key.created_at.isoformat(),
        "grace_seconds": int(work.target.grace.total_seconds()),
    }


def _staged(work: Work, rotation_id: str) -> tuple[Rotation, StagedKey]:
    rotation = work.record.rotation
    if rotation is None or rotation.id != rotation_id or rotation.key is None:
        raise Superseded(f"rotation {rotation_id} is no longer under way", target=work.target.name)
    work.world.keep_secret(rotation.key.secret_key)
    return rotation, rotation.key


def _is_under_way(record: Record, rotation_id: str) -> bool:
    return record.rotation is not None and record.rotation.id == rotation_id
