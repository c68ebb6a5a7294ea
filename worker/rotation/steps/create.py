"""The steps that make a key: look first, write the intent, ask HostUp, put the answer on record.

One create call per intent, and never a second one for the same: a create whose outcome is unknown ends its rotation.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

from worker.errors import (
    Answer,
    Conflict,
    HostUpError,
    HostUpUncertain,
    PersonNeeded,
    RecordError,
    RotatorError,
    TryAgainLater,
    VaultDenied,
    VaultLoginFailed,
    VaultMountMissing,
    VaultNotVersioned,
    VaultUnavailable,
)
from worker.events import Event
from worker.rotation.changes.creates import Outcome, mint_unknown, recounted
from worker.rotation.changes.rotation import Holder, begin, nothing_made, renew, stage
from worker.rotation.decide import NEW, Begin, waits_for_person
from worker.rotation.ports import CreatedKey, Document, Place
from worker.rotation.record import Lease, Phase, Rotation
from worker.rotation.steps.session import Pause, Work

NEEDED = ("create", "read", "update")


def start(work: Work, step: Begin) -> Pause | None:
    """Begin a rotation and create its key. What stands in the way is recorded, with when it is tried again."""
    try:
        with work.world.account.place(work.target.name) as place:
            return _start_in_place(work, step, place)
    except TryAgainLater as error:
        until = getattr(error, "until", None) or work.now + timedelta(seconds=1)
        work.log(Event.ROTATION_POSTPONED, error=error.what, until=until.isoformat())
        return Pause(NEW, until, error.what)


def _start_in_place(work: Work, step: Begin, place: Place) -> Pause | None:
    decided_on = work.record
    try:
        expected = _look_first(work)
        key_count = _count_first(work, place)
    except (VaultUnavailable, VaultLoginFailed, VaultMountMissing, VaultNotVersioned):
        raise  # then the record cannot be written either
    except HostUpError as error:
        if place.trial:
            return Pause(NEW, work.now + work.world.policy.backoff_first / 2, error.what)
        work.fail(error, "begin")
        return None
    except RotatorError as error:
        work.fail(error, "begin")
        return None
    if waits_for_person(work.record.unknown_mints):
        return None  # the count just taken shows that there is more to clear up
    holder = Holder(str(uuid.uuid4()), uuid.uuid4().hex)
    began = work.world.clock.monotonic()
    rotation = _intent(work, step, holder, expected, key_count)
    ground = replace(decided_on, unknown_mints=work.record.unknown_mints)  # the count may have settled some
    work.change(lambda record: begin(record, rotation, ground))
    _create(work, holder, began, place)
    return None


def _look_first(work: Work) -> int:
    """See that the app's secret can be written, and is what we know; returns the version to name when publishing."""
    vault, path = work.world.vault, work.target.path
    api_path = f"{work.world.policy.mount}/data/{path}"
    missing = vault.missing_capabilities({api_path: NEEDED})
    if missing:
        raise VaultDenied(
            f"the token lacks {', '.join(missing[api_path])} on {api_path}",
            operation="look first",
            path=api_path,
            status=403,
            hint="Give the worker's policy these capabilities; no key is made before it can be written down.",
        )
    return expected_version(work, vault.read(path))


def expected_version(work: Work, document: Document) -> int:
    """The version at the app's path, if what stands there is ours or nothing does. Raises Conflict."""
    current = work.record.current
    if document.data is None:
        return document.version
    found = work.target.fields.read(document.data, "access_key")
    if current and current.vault_version == document.version and current.access_key == found:
        return document.version
    ours = f"version {current.vault_version} with access key {current.access_key}" if current else "nothing"
    raise Conflict(
        f"Vault holds version {document.version} at {work.target.path}, which this project did not write "
        f"(on record is {ours})",
        target=work.target.name,
        hint=f"If the key in it may be replaced, and retired after the grace period, run "
        f"`rotator adopt {work.target.name} --access-key KEY`; else give the target another path.",
    )


def _count_first(work: Work, place: Place) -> int | None:
    """The number of keys before the create, asked for anew where it matters."""
    record, account = work.record, work.world.account
    doubtful = record.failure is not None or any(mint.open for mint in record.unknown_mints)
    if place.trial:
        count = account.look()
    else:
        count = account.key_count() if doubtful or place.key_count is None else place.key_count
    if any(mint.open for mint in record.unknown_mints):
        work.change(lambda known: recounted(known, count))
    return count


def _intent(work: Work, step: Begin, holder: Holder, expected: int, key_count: int | None) -> Rotation:
    now = work.now
    return Rotation(
        id=holder.rotation_id,
        phase=Phase.MINTING,
        trigger=step.trigger,
        reason=step.reason,
        started_at=now,
        label=work.target.render_label(holder.rotation_id, now),
        expected_version=expected,
        key_count_before=key_count,
        lease=Lease(holder=holder.token, until=now + work.world.policy.lease),
    )


def _create(work: Work, holder: Holder, began: float, place: Place) -> None:
    """The one create call of a rotation."""
    world = work.world
    lease = world.policy.lease.total_seconds()
    if world.clock.monotonic() - began + world.policy.create_deadline.total_seconds() > lease / 2:
        until = work.now + world.policy.lease
        work.change(lambda record: renew(record, holder, until))
    rotation = work.record.rotation
    label = rotation.label if rotation else ""
    since = world.clock.monotonic()
    try:
        created = world.hostup.create_key(label)
    except HostUpUncertain as error:
        world.account.failed(error)
        declare_unknown(work, holder, error, error.access_key, since=since)
    except HostUpError as error:
        world.account.failed(error)
        _record_refusal(work, holder, error, since)
    else:
        _record_key(work, holder, created, since)
        place.made = 1


def _record_refusal(work: Work, holder: Holder, error: HostUpError, since: float) -> None:
    now, retry_at = work.now, work.now + work.backoff(error)
    work.change_surely(lambda record: nothing_made(record, holder, error, now, retry_at), since=since)
    if not work.loaded.news:
        work.log(Event.ROTATION_FAILED, rotation_id=holder.rotation_id, error=error.what, request_id=error.request_id)


def _record_key(work: Work, holder: Holder, created: CreatedKey, since: float) -> None:
    """Put a key that is in hand on record, come what may."""
    work.world.keep_secret(created.secret_key)
    now, within = work.now, work.world.policy.verify_within
    try:
        work.change_surely(lambda record: stage(record, holder, created, now, within), since=since)
    except RecordError as error:
        content = {
            "why": error.what,
            "rotation_id": holder.rotation_id,
            "access_key": created.access_key,
            "request_id": created.request_id,
        }
        work.world.store.save_aside(work.target.name, holder.rotation_id, content)
        work.log(Event.KEY_STRAY, **content)
        raise
    rotation = work.record.rotation
    if rotation and rotation.id == holder.rotation_id and rotation.phase is Phase.MINTING:
        again = HostUpUncertain(
            "HostUp answered with an access key that is on record already",
            Answer("create_key", 200),
            request_id=created.request_id,
        )
        declare_unknown(work, holder, again, None, since=since)


def declare_unknown(
    work: Work, holder: Holder, why: RotatorError, access_key: str | None = None, *, since: float | None = None
) -> None:
    """Say that nobody knows whether this rotation's create made a key, with all that is known."""
    outcome = Outcome(why, work.world.account.key_count(), access_key)
    now, retry_at = work.now, work.now + work.backoff(why)
    work.change_surely(lambda record: mint_unknown(record, holder, outcome, now, retry_at), since=since)


def take_over(work: Work, holder: Holder) -> None:
    """The worker that was to create a key let its lease run out."""
    why = PersonNeeded(
        "the worker that asked HostUp for a key stopped before it could record the answer",
        target=work.target.name,
        hint="If keyCount has grown, look in HostUp's panel for a key with this label; see `rotator settle`.",
    )
    declare_unknown(work, holder, why)


def recount(work: Work) -> None:
    """See whether ``keyCount`` clears up the unknown mints that hold this target; if not, say so loudly."""
    try:
        count = work.world.account.look()
    except HostUpError as error:
        work.fail(error, "recount")
        return
    work.change(lambda record: recounted(record, count))
    if not waits_for_person(work.record.unknown_mints):
        return
    mints = [mint for mint in work.record.unknown_mints if mint.open]
    why = PersonNeeded(
        f"{len(mints)} create calls may each have made a key that nobody has",
        target=work.target.name,
        hint=f"Look in HostUp's panel for keys labelled {', '.join(repr(mint.label) for mint in mints)}, then run "
        f"`rotator settle {work.target.name}`. The current key stays as it is until then.",
    )
    work.fail(why, "recount")
    work.log(Event.TARGET_BLOCKED, error=why.what, hint=why.hint)
