"""Records to test with: a fixed moment, and one function for each thing a record can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from worker.rotation.changes.rotation import Holder
from worker.rotation.ports import CreatedKey
from worker.rotation.record import (
    CopyVersion,
    CurrentKey,
    Failure,
    Lease,
    Paused,
    Phase,
    Record,
    Request,
    RetiringKey,
    Rotation,
    StagedKey,
    Trouble,
    TroubleKind,
    UnconfirmedCreate,
    Why,
)
from worker.secret import Secret

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
HOLDER = Holder("rotation-1", "token-1")


def empty() -> Record:
    return Record(target="media", path="apps/media")


def current(access_key: str = "AK0", version: int = 1) -> CurrentKey:
    return CurrentKey(
        access_key=access_key,
        vault_version=version,
        rotation_id="rotation-0",
        request_id="request-0",
        label="media rotation-0",
        created_at=NOW - DAY,
        published_at=NOW - DAY,
    )


def staged(access_key: str = "AK1") -> StagedKey:
    return StagedKey(
        access_key=access_key,
        secret_key=Secret("s3cr3t-canary"),
        request_id="request-1",
        created_at=NOW,
        verify_by=NOW + MINUTE,
    )


def rotation(phase: Phase = Phase.CREATING, key: StagedKey | None = None, lease: timedelta = MINUTE) -> Rotation:
    return Rotation(
        id=HOLDER.rotation_id,
        phase=phase,
        trigger="schedule",
        reason="",
        started_at=NOW,
        label="media rotation-1",
        expected_version=1,
        key_count_before=3,
        lease=Lease(holder=HOLDER.token, until=NOW + lease),
        key=key if key or phase is Phase.CREATING else staged(),
    )


def retiring(access_key: str = "AK9", after: timedelta = -SECOND, *, deleted: bool = False) -> RetiringKey:
    return RetiringKey(
        access_key=access_key,
        why=Why.REPLACED,
        rotation_id="rotation-9",
        request_id="request-9",
        vault_version=1,
        retire_after=NOW + after,
        next_look_at=NOW + after,
        deleted_at=NOW if deleted else None,
    )


def create(after: int | None = None, ago: timedelta = MINUTE, rotation_id: str = "rotation-7") -> UnconfirmedCreate:
    return UnconfirmedCreate(
        rotation_id=rotation_id,
        at=NOW - ago,
        label=f"media {rotation_id}",
        error="no answer",
        request_id=None,
        key_count_before=3,
        key_count_after=after,
    )


def request(name: str = "message-1", at: datetime = NOW) -> Request:
    return Request(id=name, reason="because", at=at)


def one_of_each() -> Iterator[Record]:
    """A record with each thing that one can hold."""
    bare = replace(empty(), current=current())
    failure = Failure(
        at=NOW, what="no", hint="wait", kind="HostUpRefused", operation="create_key", request_id="r", count=3,
        retry_at=NOW,
    )  # fmt: skip
    trouble = Trouble(kind=TroubleKind.KEY_DENIED, access_key="AK0", since=NOW, what="refused", code="AccessDenied")
    yield bare
    yield replace(bare, requests=(request(), request("message-2")), served=(("message-0", "rotation-0"),))
    yield replace(bare, retiring=(retiring(), retiring("AK8", timedelta(1)), retiring("AK7", deleted=True)))
    yield replace(bare, unconfirmed_creates=(create(), create(3, rotation_id="rotation-8")), failure=failure)
    yield replace(bare, trouble=trouble, healings=(NOW,), deletes_held=True, adopted=1)
    for phase in (Phase.CREATING, Phase.STAGED, Phase.VERIFIED):
        yield replace(bare, rotation=rotation(phase))
        yield replace(bare, rotation=rotation(phase, lease=-timedelta(1)), failure=failure)
    yield replace(bare, paused=Paused(at=NOW, by="root@host", reason="a release"), next_at=NOW + DAY)
    yield replace(bare, requests=(replace(request(), leaked=True),), retiring=(replace(retiring(), leaked=True),))
    yield from _with_copies(bare)
    yield from _elsewhere(bare)


def _with_copies(bare: Record) -> Iterator[Record]:
    """Copies that have the key, and those of which one has the new key already."""
    here, far = CopyVersion(location="apps/copy", version=1), CopyVersion(location="eu:apps/copy", version=4)
    yield replace(bare, current=replace(current(), copies=(here, far)))
    yield replace(bare, rotation=replace(rotation(Phase.VERIFIED), copies=(here,)), retiring=(retiring(),))


def _elsewhere(bare: Record) -> Iterator[Record]:
    """Keys of another account, and names that are no ASCII, as the API may give them."""
    yield replace(bare, current=replace(current("NYCKEL-ÅÄÖ"), request_id="begäran-1", account="eu"))
    yield replace(
        bare,
        retiring=(replace(retiring("KLÍČ"), account="eu", error="žádná odpověď"),),
        unconfirmed_creates=(replace(create(), account="eu", request_id="请求"),),
    )


def created(access_key: str = "AK1") -> CreatedKey:
    return CreatedKey(access_key=access_key, secret_key=Secret("s3cr3t-canary"), request_id="request-1")
