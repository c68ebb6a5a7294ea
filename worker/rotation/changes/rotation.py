"""How a record changes: pure functions from one record to the next, each naming what must hold before.

What is written here is what a crash leaves behind, so every step of a rotation is one function. A function that finds
its change made already hands the same record back; one whose ground is gone raises Superseded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.errors import RotatorError, Superseded, TryAgainLater, UsageError
from worker.events import Event
from worker.rotation.history import Entry
from worker.rotation.hold import overridden, pause_of
from worker.rotation.ports import CreatedKey
from worker.rotation.record import (
    CopyVersion,
    CurrentKey,
    Failure,
    Lease,
    Phase,
    Record,
    Request,
    RetiringKey,
    Rotation,
    StagedKey,
    UnconfirmedCreate,
    Why,
)
from worker.rotation.texts import LONGEST_ID, LONGEST_REASON, short, short_fact, short_name
from worker.targets.account import DEFAULT_ACCOUNT

HEALING = "healing"
"""The trigger of a rotation that replaces a key because apps cannot work with what they read."""

MANUAL = "manual"
"""The trigger of a rotation that somebody asked for."""

LEAK = "leak"
"""The trigger of a rotation that replaces a key because it leaked: the keys before it get no grace."""

ACCOUNT = "account"
"""The trigger of a rotation that makes a key on the account that the target belongs to now."""

SCHEDULE = "schedule"
"""The trigger of a rotation whose time it is."""

DESTINATION = "destination"
"""The trigger of a rotation that begins because a copy of the app's secret is wanted where there is none yet."""

ROLLBACK = "rollback"
"""The trigger of a rotation that makes an old key current again, and asks HostUp for none."""

TRIGGERS = (SCHEDULE, MANUAL, HEALING, LEAK, ACCOUNT, DESTINATION, ROLLBACK)
"""All of them: for who counts rotations, and for the pages."""

DAY = timedelta(days=1)
WAITING_REQUESTS = 32
WAITING_LEAKS = 8
"""So many requests more may wait that say that a key leaked: they must not be kept out by others."""

SERVED_REQUESTS = 32
SETTLED_CREATES = 8


@dataclass(frozen=True, slots=True)
class Holder:
    """Who acts: the rotation, the token of the lease it was begun with, and the account that is asked."""

    rotation_id: str
    token: str
    account: str = DEFAULT_ACCOUNT


def other(account: str) -> str | None:
    """An account as it is noted in a history: not where it is the default one."""
    return None if account == DEFAULT_ACCOUNT else account


def note(
    record: Record,
    event: Event,
    now: datetime,
    *,
    rotation_id: str | None = None,
    request_id: str | None = None,
    access_key: str | None = None,
    **facts: object,
) -> Record:
    """Add an entry to the record's history; facts that are None or empty are left out, long ones cut."""
    entry = Entry(
        number=record.next_entry,
        at=now,
        event=event.value,
        rotation_id=rotation_id or None,
        request_id=request_id or None,
        access_key=access_key or None,
        facts={name: short_fact(value) for name, value in facts.items() if value not in (None, "", [])},
    )
    return replace(record, history=record.history.with_entry(entry), next_entry=record.next_entry + 1)


def requested(record: Record, request: Request, by: str = "", *, leak_said: bool = False) -> Record:
    """Record a request for a rotation; one that is known already (a message delivered twice) changes nothing.

    ``by`` says who asks, and ``leak_said`` that he says that keys leaked, and is not believed. Both go into
    the history only, so that workers of the release before read the record, too.

    Raises UsageError for an id that is none, TryAgainLater where too many wait.
    """
    if not (0 < len(request.id) <= LONGEST_ID and request.id.isprintable()):
        raise UsageError(
            f"a request's id has 1 to {LONGEST_ID} printable characters, and this one has {len(request.id)}",
            target=record.target,
            hint="The program that sends messages has to choose another one, as Celery does by itself.",
        )
    if any(known.id == request.id for known in record.requests) or any(
        known == request.id for known, _ in record.served
    ):
        return record
    if len(record.requests) >= WAITING_REQUESTS + (WAITING_LEAKS if request.leaked else 0):
        raise TryAgainLater(
            f"{WAITING_REQUESTS} requests wait for this target already",
            target=record.target,
            hint="They will all be served by one rotation; see `rotator status`.",
        )
    request = replace(request, reason=short(request.reason, LONGEST_REASON))
    noted = note(
        record,
        Event.ROTATION_REQUESTED,
        request.at,
        request=request.id,
        reason=request.reason,
        by=short_name(by),
        leaked=request.leaked or None,
        leak_said=leak_said or None,
    )
    return replace(noted, requests=(*record.requests, request))


def asked_by(record: Record, trigger: str) -> str:
    """Who asked for a rotation with this trigger, as far as the history in the record tells; empty where nobody did."""
    if trigger not in (MANUAL, LEAK):
        return ""
    asked = [request.id for request in record.requests if request.leaked or trigger != LEAK]
    for entry in record.history.newest_first():
        if entry.event == Event.ROTATION_REQUESTED and entry.facts.get("request") in asked[:1]:
            return str(entry.facts.get("by", ""))
    return ""


def begun(record: Record, rotation: Rotation, ground: Record) -> Record:
    """Write the intent: the last thing on record before HostUp is asked for a key.

    ``ground`` is the record that the decision to begin rests on. Whoever was slow must not begin after another worker's
    rotation came and went: it served what this one is for, or its failure has to be waited for.
    """
    if record.rotation and record.rotation.id == rotation.id:
        return record
    if record.rotation:
        raise Superseded("a rotation is under way already", target=record.target)
    if _ground(record) != _ground(ground):
        raise Superseded("another rotation came and went meanwhile", target=record.target)
    noted = note(
        record,
        Event.ROTATION_STARTED,
        rotation.started_at,
        rotation_id=rotation.id,
        trigger=rotation.trigger,
        reason=rotation.reason,
        by=asked_by(record, rotation.trigger),
        despite=overridden(record, rotation.started_at),
        label=rotation.label,
        key_count=rotation.key_count_before,
        account=other(rotation.account),
    )
    return replace(
        noted,
        rotation=rotation,
        healings=_and_now(record.healings, rotation, HEALING),
        moves=_and_now(record.moves, rotation, ACCOUNT),
        paused=pause_of(record, rotation.started_at),
    )


def _and_now(moments: tuple[datetime, ...], rotation: Rotation, trigger: str) -> tuple[datetime, ...]:
    """When rotations with this trigger began within a day, with the one that begins now, if it has that."""
    now = rotation.started_at
    return (*(moment for moment in moments if now - moment < DAY), now) if rotation.trigger == trigger else moments


def _ground(record: Record) -> tuple[object, ...]:
    return record.current, record.failure, record.unconfirmed_creates, record.trouble, record.paused


def renewed(record: Record, holder: Holder, until: datetime) -> Record:
    """Put the lease's end off, while it is still ours."""
    rotation = creating(record, holder)
    return replace(record, rotation=replace(rotation, lease=Lease(holder=holder.token, until=until)))


def staged(record: Record, holder: Holder, created: CreatedKey, now: datetime, verify_within: timedelta) -> Record:
    """Put a key that HostUp handed over on record, whatever became of its rotation meanwhile.

    This never raises: a key in hand must end up somewhere. If the rotation is no longer ours, the key is retired.
    """
    if created.access_key in record.keys_on_record():
        return record
    record = note(
        record,
        Event.KEY_CREATED,
        now,
        rotation_id=holder.rotation_id,
        request_id=created.request_id,
        access_key=created.access_key,
        salvaged=list(created.salvaged),
        account=other(holder.account),
    )
    rotation = record.rotation
    if rotation is None or not is_of(rotation, holder):
        return _stray(record, holder, created, now)
    key = StagedKey(
        access_key=created.access_key,
        secret_key=created.secret_key,
        request_id=created.request_id,
        created_at=now,
        verify_by=now + verify_within,
    )
    return replace(record, rotation=replace(rotation, phase=Phase.STAGED, key=key))


def _stray(record: Record, holder: Holder, created: CreatedKey, now: datetime) -> Record:
    stray = to_retire(created.access_key, Why.STRAY, holder.rotation_id, created.request_id, now)
    key = replace(stray, account=holder.account)
    noted = note(
        record,
        Event.KEY_STRAY,
        now,
        rotation_id=holder.rotation_id,
        access_key=created.access_key,
        why=Why.STRAY.value,
        account=other(holder.account),
    )
    return came_late(replace(noted, retiring=(*record.retiring, key)), holder, created.access_key)


def came_late(record: Record, holder: Holder, access_key: str) -> Record:
    """The key of a create that was given up as unconfirmed is known after all."""
    return _settled_late(record, holder, f"the key came late: {access_key}, to be retired")


def _settled_late(record: Record, holder: Holder, verdict: str) -> Record:
    creates = tuple(
        replace(create, settled=verdict) if create.open and create.rotation_id == holder.rotation_id else create
        for create in record.unconfirmed_creates
    )
    return replace(record, unconfirmed_creates=creates)


def put_aside(record: Record, key: RetiringKey, now: datetime) -> Record:
    """Note a key that was never published, and retire it."""
    noted = note(
        record,
        Event.KEY_STRAY,
        now,
        rotation_id=key.rotation_id,
        request_id=key.request_id,
        access_key=key.access_key,
        why=key.why.value,
        account=other(key.account),
    )
    return replace(noted, retiring=(*noted.retiring, key))


def verified(record: Record, rotation_id: str, now: datetime) -> Record:
    """The staged key works. From here on it may be published at any moment, so it is never given up again."""
    rotation = _of(record, rotation_id)
    if rotation.phase is Phase.VERIFIED:
        return record
    noted = note(
        record,
        Event.KEY_VERIFIED,
        now,
        rotation_id=rotation.id,
        access_key=_staged_key(rotation).access_key,
        account=other(rotation.account),
    )
    return replace(noted, rotation=replace(rotation, phase=Phase.VERIFIED), failure=None)


def refused(record: Record, rotation_id: str, why: RotatorError, now: datetime, retry_at: datetime) -> Record:
    """The object storage refused the staged key to the end: retire it, and begin anew later."""
    rotation = _of(record, rotation_id)
    if rotation.phase is not Phase.STAGED:
        raise Superseded("the key was verified meanwhile", target=record.target)
    staged = _staged_key(rotation)
    refused_key = to_retire(staged.access_key, Why.REFUSED, rotation.id, staged.request_id, now)
    key = replace(refused_key, account=rotation.account)
    at = other(rotation.account)
    noted = note(record, Event.KEY_REFUSED, now, rotation_id=rotation.id, access_key=staged.access_key, account=at)
    given_up = replace(noted, rotation=None, retiring=(*record.retiring, key))
    return failed(given_up, why, now, retry_at, operation="verify", rotation_id=rotation.id, account=rotation.account)


def left_behind(record: Record, rotation_id: str, account: str, now: datetime) -> Record:
    """The target belongs to ``account`` by now: a key that was made on another one, and never published, is retired.

    Raises Superseded once it was verified: then it may be published at any moment.
    """
    rotation = _of(record, rotation_id)
    if rotation.phase is not Phase.STAGED:
        raise Superseded("the key was verified meanwhile", target=record.target)
    staged = _staged_key(rotation)
    key = to_retire(staged.access_key, Why.LEFT, rotation.id, staged.request_id, now)
    noted = note(
        record,
        Event.ROTATION_FAILED,
        now,
        rotation_id=rotation.id,
        access_key=staged.access_key,
        operation="verify",
        error=f"the target belongs to account {account} by now, and the key was made on account {rotation.account}",
        account=other(rotation.account),
    )
    return replace(noted, rotation=None, retiring=(*record.retiring, replace(key, account=rotation.account)))


@dataclass(frozen=True, slots=True)
class Grace:
    """How long a key works on after another is published: usually, and where it leaked (not at all).

    The latter is no more than 0: what the clocks of the machine and of Vault are apart, so that none has to wait.
    """

    usual: timedelta
    leaked: timedelta = timedelta(0)


def published(record: Record, rotation_id: str, version: int, now: datetime, grace: Grace) -> Record:
    """Vault publishes the new key as ``version``: it is current, the one before retires, the secret is wiped.

    All its copies are on record by then (:func:`copied`). A rollback serves no request, as it makes no key.
    """
    rotation = _of(record, rotation_id)
    staged = _staged_key(rotation)
    current = CurrentKey(
        access_key=staged.access_key,
        vault_version=version,
        rotation_id=rotation.id,
        request_id=staged.request_id,
        label=rotation.label,
        created_at=staged.created_at,
        published_at=now,
        account=rotation.account,
        copies=rotation.copies,
    )
    asked = () if rotation.trigger == ROLLBACK else record.requests
    requests = _served_by(asked, rotation, staged)
    served = tuple((request.id, rotation.id) for request in requests if len(request.id) <= LONGEST_ID)
    noted = note(
        record,
        Event.SECRET_PUBLISHED,
        now,
        rotation_id=rotation.id,
        request_id=staged.request_id,
        access_key=staged.access_key,
        vault_version=version,
        copies=[f"{copy.location} {copy.version}" for copy in rotation.copies],
        account=other(rotation.account),
    )
    noted = note(
        noted,
        Event.ROTATION_SUCCEEDED,
        now,
        rotation_id=rotation.id,
        access_key=staged.access_key,
        vault_version=version,
        previous_access_key=record.current.access_key if record.current else None,
        requests=[request_id for request_id, _ in served],
        duration_ms=round((now - rotation.started_at).total_seconds() * 1000),
        account=other(rotation.account),
    )
    noted = _with_those_left(noted, rotation, record.current, now)
    old = replaced(record, now, now + grace.usual)
    if any(request.leaked for request in asked):
        noted, retiring = without_grace(noted, rotation.id, (*old, *record.retiring), now + grace.leaked, now)
    else:
        retiring = (*record.retiring, *old)
    return replace(
        noted,
        current=current,
        rotation=None,
        requests=tuple(request for request in record.requests if request not in requests),
        served=(*record.served, *served)[-SERVED_REQUESTS:],
        retiring=_as_numbered(retiring, version, rotation.copies),
        unconfirmed_creates=pruned(record.unconfirmed_creates),
        failure=None,
        trouble=None,
        next_at=_still_wanted(record, rotation, now),
        revoking="",
        revoked=None,
    )


def _still_wanted(record: Record, rotation: Rotation, now: datetime) -> datetime | None:
    """The moment that a person set for the next rotation; a move to another account is not the one that was meant."""
    return record.next_at if rotation.trigger == ACCOUNT and record.next_at and record.next_at > now else None


def _with_those_left(record: Record, rotation: Rotation, old: CurrentKey | None, now: datetime) -> Record:
    """Name the copies that had the key before and are not wanted any more: nobody replaces what stands there."""
    wanted = {copy.location for copy in rotation.copies}
    for copy in old.copies if old else ():
        if old and copy.location not in wanted:
            record = note(
                record,
                Event.COPY_LEFT,
                now,
                rotation_id=rotation.id,
                access_key=old.access_key,
                location=copy.location,
                vault_version=copy.version,
            )
    return record


def _served_by(asked: tuple[Request, ...], rotation: Rotation, staged: StagedKey) -> tuple[Request, ...]:
    """The requests that a rotation serves: all, but where some apps may read its key long before others do.

    Then a leak that is told of since the key was made may be one of that key.
    """
    if not rotation.copies:
        return asked
    return tuple(request for request in asked if not (request.leaked and request.at > staged.created_at))


def without_grace(
    record: Record, rotation_id: str | None, keys: tuple[RetiringKey, ...], end: datetime, now: datetime
) -> tuple[Record, tuple[RetiringKey, ...]]:
    """End the grace of all keys that apps may have read, as strangers may have any of them: noted for each.

    Under the rotation that replaces them; without one, under that of each key.
    """
    left = []
    for key in keys:
        given = key.why is Why.REPLACED and not key.deleted_at
        if given and key.retire_after > end:
            record = note(
                record,
                Event.GRACE_ENDED,
                now,
                rotation_id=rotation_id or key.rotation_id,
                access_key=key.access_key,
                why="leaked",
                grace_until=key.retire_after.isoformat(timespec="seconds"),
            )
        left.append(_leaked(key, end) if given else key)
    return record, tuple(left)


def _leaked(key: RetiringKey, end: datetime) -> RetiringKey:
    return replace(key, leaked=True, retire_after=min(key.retire_after, end), next_look_at=min(key.next_look_at, end))


def replaced(record: Record, now: datetime, retire_after: datetime) -> tuple[RetiringKey, ...]:
    """The current key as it retires once another one is current; none where there is none."""
    old = record.current
    if old is None:
        return ()
    key = to_retire(old.access_key, Why.REPLACED, old.rotation_id, old.request_id, retire_after)
    if record.revoked:
        # it is probed on, and deleted again should it live
        key = replace(record.revoked, why=Why.DIED)
    elif record.trouble and record.trouble.killed(old.access_key):
        # nothing has to be deleted: it only has to be proven dead once more
        key = replace(key, why=Why.DIED, retire_after=now, next_look_at=now, deleted_at=now)
    return (replace(key, vault_version=old.vault_version, copies=old.copies, account=old.account),)


def _as_numbered(
    keys: tuple[RetiringKey, ...], version: int, copies: tuple[CopyVersion, ...]
) -> tuple[RetiringKey, ...]:
    """Retiring keys after a publish as ``version``, with these ``copies``.

    Vault counts from 1 again after somebody deleted a secret with its metadata: then an old number names a new version,
    which must not be destroyed for the old key.
    """
    if any(key.vault_version and key.vault_version >= version for key in keys):
        keys = tuple(replace(key, vault_version=None) for key in keys)
    newest = {copy.location: copy.version for copy in copies}
    old = [copy for key in keys for copy in key.copies]
    restarted = {copy.location for copy in old if copy.version >= newest.get(copy.location, copy.version + 1)}
    if not restarted:
        return keys
    return tuple(
        replace(key, copies=tuple(copy for copy in key.copies if copy.location not in restarted)) for key in keys
    )


def pruned(creates: tuple[UnconfirmedCreate, ...]) -> tuple[UnconfirmedCreate, ...]:
    """Unconfirmed creates to be kept: all that are open, and the newest of the settled."""
    settled = [create for create in creates if not create.open][-SETTLED_CREATES:]
    return tuple(create for create in creates if create.open or create in settled)


def expecting(record: Record, rotation_id: str, version: int) -> Record:
    """What was published at the app's path was deleted or added to: publishing has to name another version."""
    rotation = _of(record, rotation_id)
    return replace(record, rotation=replace(rotation, expected_version=version))


def copied(record: Record, rotation_id: str, copies: tuple[CopyVersion, ...]) -> Record:
    """These copies of the app's secret have the new key, and no others that were noted before."""
    rotation = _of(record, rotation_id)
    return record if rotation.copies == copies else replace(record, rotation=replace(rotation, copies=copies))


def nothing_made(record: Record, holder: Holder, why: RotatorError, now: datetime, retry_at: datetime) -> Record:
    """HostUp clearly made no key: the rotation ends, and another begins at ``retry_at``.

    Where another worker took over meanwhile, the create that it recorded as unconfirmed is settled; raises Superseded
    where there is none.
    """
    open_ones = (create.rotation_id for create in record.unconfirmed_creates if create.open)
    if holder.rotation_id in open_ones and not (record.rotation and is_of(record.rotation, holder)):
        return _refused_late(record, holder, why, now)
    rotation = creating(record, holder)
    ended = replace(record, rotation=None)
    return failed(ended, why, now, retry_at, operation="create", rotation_id=rotation.id, account=rotation.account)


def _refused_late(record: Record, holder: Holder, why: RotatorError, now: datetime) -> Record:
    verdict = "no key was made: HostUp refused it, as its late answer says"
    noted = note(
        record,
        Event.CREATE_SETTLED,
        now,
        rotation_id=holder.rotation_id,
        request_id=why.request_id,
        verdict=verdict,
        error=why.what,
    )
    settled = _settled_late(noted, holder, verdict)
    return replace(settled, unconfirmed_creates=pruned(settled.unconfirmed_creates))


def failed(
    record: Record,
    why: RotatorError,
    now: datetime,
    retry_at: datetime,
    *,
    operation: str,
    rotation_id: str | None = None,
    account: str = DEFAULT_ACCOUNT,
) -> Record:
    """Record a failure; the same one again is only counted, so that a week of failures does not fill the history.

    On another account counting begins anew.
    """
    before = record.failure if record.failure and record.failure.account == account else None
    kind = type(why).__name__
    again = before is not None and (before.kind, before.operation) == (kind, operation)
    failure = Failure(
        at=now,
        what=short(why.what),
        hint=short(why.hint),
        kind=kind,
        operation=operation,
        request_id=why.request_id,
        count=before.count + 1 if before else 1,
        retry_at=retry_at,
        account=account,
        location=getattr(why, "location", ""),
    )
    if not again:
        record = note(
            record,
            Event.ROTATION_FAILED,
            now,
            rotation_id=rotation_id,
            request_id=why.request_id,
            operation=operation,
            error=why.what,
            account=other(account),
        )
    return replace(record, failure=failure)


def to_retire(
    access_key: str, why: Why, rotation_id: str | None, request_id: str | None, when: datetime
) -> RetiringKey:
    """A key to be deleted from ``when`` on."""
    return RetiringKey(
        access_key=access_key,
        why=why,
        rotation_id=rotation_id,
        request_id=request_id,
        vault_version=None,
        retire_after=when,
        next_look_at=when,
    )


def _of(record: Record, rotation_id: str) -> Rotation:
    rotation = record.rotation
    if rotation is None or rotation.id != rotation_id:
        raise Superseded(f"rotation {rotation_id} is no longer under way", target=record.target)
    return rotation


def _staged_key(rotation: Rotation) -> StagedKey:
    if rotation.key is None:
        raise Superseded(f"rotation {rotation.id} has no staged key")
    return rotation.key


def is_of(rotation: Rotation, holder: Holder) -> bool:
    """Whether this holder is still the one to make the rotation's key."""
    return (
        rotation.id == holder.rotation_id and rotation.phase is Phase.CREATING and rotation.lease.holder == holder.token
    )


def creating(record: Record, holder: Holder) -> Rotation:
    """The rotation whose key this holder is to make; raises Superseded when another has taken over."""
    rotation = record.rotation
    if rotation is None or not is_of(rotation, holder):
        raise Superseded(f"rotation {holder.rotation_id} was taken over", target=record.target)
    return rotation
