"""The steps that make a key: look first, write the intent, ask HostUp, put the answer on record.

One create call per intent, and never a second one for the same: a create whose outcome is unknown ends its rotation.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

from worker.errors import (
    AccountGone,
    Conflict,
    HostUpCall,
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
    VaultTooLarge,
    VaultUnavailable,
)
from worker.events import Event
from worker.rotation.changes.creates import CreateOutcome, create_unconfirmed, recounted
from worker.rotation.changes.rotation import (
    DESTINATION,
    HEALING,
    LEAK,
    SCHEDULE,
    Holder,
    begun,
    nothing_made,
    renewed,
    staged,
)
from worker.rotation.copies import lacking
from worker.rotation.decide import NEW, Begin, creates_at, waits_for_person
from worker.rotation.fresh import see_that_it_lasts
from worker.rotation.ports import CreatedKey, Document, Place
from worker.rotation.record import Lease, Phase, Rotation
from worker.rotation.size import see_that_it_fits, trimmed
from worker.rotation.steps.claim import somebody_elses
from worker.rotation.steps.copies import NEEDED, look_at_copies
from worker.rotation.steps.session import Pause, Session
from worker.rotation.texts import OTHERS_PLACES

MAYBE_FULL = (409, 422)
"""Statuses that may mean that HostUp has no room for another key."""

URGENT = (HEALING, LEAK)
"""Triggers of rotations that wait for no copy of the app's secret: most apps may read the secret itself."""

COUNTING = "the keys of the account are counted, which comes before the first one is made"


def begin(session: Session, step: Begin) -> Pause | None:
    """Begin a rotation and create its key. What stands in the way is recorded, with when it is tried again."""
    if not session.allows_create(session.target.account):
        return Pause(NEW, session.now + session.services.policy.tick, COUNTING)
    try:
        with session.here.account.place(session.target.name) as place:
            return _begin_in_place(session, step, place)
    except TryAgainLater as error:
        until = getattr(error, "until", None) or session.now + timedelta(seconds=1)
        session.log(Event.ROTATION_POSTPONED, error=error.what, until=until.isoformat())
        return Pause(NEW, until, error.what)


def _begin_in_place(session: Session, step: Begin, place: Place) -> Pause | None:
    decided_on = session.record
    try:
        session.here.storage.see_that_it_can_be_asked()  # a key that cannot be verified would only use its grace up
        expected = look_first(session)
        if step.trigger not in URGENT:
            look_at_copies(session)
        key_count = _count_first(session, place)
        session.change(trimmed)
        see_that_it_fits(session.record)
    except (VaultUnavailable, VaultLoginFailed, VaultMountMissing, VaultNotVersioned):
        raise  # then the record cannot be written either
    except HostUpError as error:
        if place.trial:
            return Pause(NEW, session.now + session.services.policy.tick / 2, error.what)
        session.fail(error, "begin")
        return None
    except RotatorError as error:
        session.fail(error, "begin")
        return None
    if waits_for_person(creates_at(session.record, session.target.account)):
        return None  # the count just taken shows that there is more to clear up
    holder = Holder(str(uuid.uuid4()), uuid.uuid4().hex, session.target.account)
    began = session.services.clock.monotonic()
    rotation = _intent(session, step, holder, expected, key_count)
    # the count may have settled some
    ground = replace(decided_on, unconfirmed_creates=session.record.unconfirmed_creates)
    session.change(lambda record: begun(record, rotation, ground))
    _create(session, holder, began, place)
    return None


def look_first(session: Session) -> int:
    """See that the app's secret can be written, and is what we know; returns the version to name when publishing."""
    vault, path = session.services.vault, session.target.path
    api_path = f"{session.services.policy.mount}/data/{path}"
    missing = vault.missing_capabilities({api_path: NEEDED})
    if missing:
        raise VaultDenied(
            f"the token lacks {', '.join(missing[api_path])} on {api_path}",
            operation="look first",
            path=api_path,
            status=403,
            hint="Give the worker's policy these capabilities; no key is made before it can be written down.",
        )
    if session.record.current is None:
        for place in (session.services.store.path(session.target.name), path):
            see_that_it_lasts(vault, session.services.policy.mount, place)
    current = session.record.current
    session.secret = vault.read(path, current.vault_version if current else 0)
    return expected_version(session, session.secret)


def expected_version(session: Session, document: Document) -> int:
    """The version at the app's path, if what stands there is ours or nothing does. Raises Conflict."""
    current = session.record.current
    if document.data is None:
        return document.version
    found = session.target.fields.read(document.data, "access_key")
    if current and current.access_key == found:
        by_us = session.target.fields.read(document.data, "rotation_id") == current.rotation_id
        if current.vault_version == document.version or by_us:
            return document.version  # a newer version of ours: somebody added a field to it
    ours = f"version {current.vault_version} with access key {current.access_key}" if current else "nothing"
    raise Conflict(
        f"Vault holds version {document.version} at {session.target.path}, which this project did not write "
        f"(on record is {ours})",
        target=session.target.name,
        hint=_renamed(session) + f"If the key in it may be replaced, and retired after the grace period, run "
        f"`rotator adopt {session.target.name} --access-key KEY`; else give the target another path.",
    )


def _renamed(session: Session) -> str:
    """A hint where nothing is on record: what stands there may be of the same target under another name."""
    if session.record.current:
        return ""
    return f"If the target had another name before, run `rotator rename OLD {session.target.name}`. "


def _count_first(session: Session, place: Place) -> int | None:
    """The number of keys before the create, asked for anew where it matters."""
    record, name, account = session.record, session.target.account, session.here.account
    unconfirmed = any(create.open for create in creates_at(record, name))
    doubtful = record.failure is not None or unconfirmed
    if place.trial:
        count = account.look()
    else:
        count = account.key_count() if doubtful or place.key_count is None else place.key_count
    if unconfirmed:
        session.change(lambda known: recounted(known, count, name))
    return count


def _intent(session: Session, step: Begin, holder: Holder, expected: int, key_count: int | None) -> Rotation:
    now, trigger, reason = session.now, step.trigger, step.reason
    without = ", ".join(copy.name for copy in lacking(session.record, session.target))
    if trigger == SCHEDULE and without:
        trigger, reason = DESTINATION, f"wanted, and not there yet: {without}"
    return Rotation(
        id=holder.rotation_id,
        phase=Phase.CREATING,
        trigger=trigger,
        reason=reason,
        started_at=now,
        label=session.target.render_label(holder.rotation_id, now),
        expected_version=expected,
        key_count_before=key_count,
        lease=Lease(holder=holder.token, until=now + session.services.policy.lease),
        account=holder.account,
    )


def _create(session: Session, holder: Holder, began: float, place: Place) -> None:
    """The one create call of a rotation."""
    services, at = session.services, session.services.at(holder.account)
    lease = services.policy.lease.total_seconds()
    if services.clock.monotonic() - began + services.policy.create_deadline.total_seconds() > lease / 2:
        until = session.now + services.policy.lease
        session.change(lambda record: renewed(record, holder, until))
    rotation = session.record.rotation
    label = rotation.label if rotation else ""
    since = services.clock.monotonic()
    try:
        created = at.hostup.create_key(label)
    except HostUpUncertain as error:
        at.account.failed(error)
        named = error.access_key
        stranger = somebody_elses(session, holder, named, error.request_id) if named else None
        declare_unconfirmed(session, holder, stranger or error, None if stranger else named, since=since)
    except HostUpError as error:
        at.account.failed(error)
        _record_refusal(session, holder, error, since)
    else:
        place.made = 1
        _take_key(session, holder, created, since)


def _take_key(session: Session, holder: Holder, created: CreatedKey, since: float) -> None:
    """Put a key on record, unless it is somebody else's."""
    session.services.keep_secret(created.secret_key)
    stranger = somebody_elses(session, holder, created.access_key, created.request_id)
    if stranger:
        declare_unconfirmed(session, holder, stranger, since=since)
    else:
        _record_key(session, holder, created, since)


def _record_refusal(session: Session, holder: Holder, error: HostUpError, since: float) -> None:
    now, retry_at = session.now, session.now + session.backoff(error)
    if error.answer.status in MAYBE_FULL:
        error.hint = f"{error.hint} {_comes_free(session)}"
    session.change_until_written(lambda record: nothing_made(record, holder, error, now, retry_at), since=since)
    if not session.loaded.entries:
        session.log(
            Event.ROTATION_FAILED, rotation_id=holder.rotation_id, error=error.what, request_id=error.request_id
        )


def _comes_free(session: Session) -> str:
    """Which keys of the target give a place free, and when, should HostUp have no room for another key."""
    keys = [
        f"{key.access_key} (from {key.wanted_at.isoformat(timespec='seconds')})"
        for key in session.record.retiring
        if not key.deleted_at
    ]
    mine = f"Of this target: {', '.join(keys)}." if keys else "None of this target is retiring."
    return f"{mine} {OTHERS_PLACES}"


def _record_key(session: Session, holder: Holder, created: CreatedKey, since: float) -> None:
    """Put a key that is in hand on record, come what may."""
    now, within = session.now, session.services.policy.verify_within
    try:
        session.change_until_written(lambda record: staged(record, holder, created, now, within), since=since)
    except (RecordError, VaultTooLarge) as error:
        content = {
            "why": error.what,
            "rotation_id": holder.rotation_id,
            "access_key": created.access_key,
            "request_id": created.request_id,
        }
        known = {**content, "created_at": now.isoformat()}
        session.services.store.rescue(session.target.name, holder.rotation_id, known)
        session.log(Event.KEY_STRAY, **content)
        raise
    rotation = session.record.rotation
    if rotation and rotation.id == holder.rotation_id and rotation.phase is Phase.CREATING:
        again = HostUpUncertain(
            "HostUp answered with an access key that is on record already",
            HostUpCall("create_key", 200),
            request_id=created.request_id,
        )
        declare_unconfirmed(session, holder, again, None, since=since)


def declare_unconfirmed(
    session: Session, holder: Holder, why: RotatorError, access_key: str | None = None, *, since: float | None = None
) -> None:
    """Record that this rotation's create is unconfirmed, with all that is known."""
    outcome = CreateOutcome(why, _count_at(session, holder.account), access_key)
    now, retry_at = session.now, session.now + session.backoff(why)
    session.change_until_written(lambda record: create_unconfirmed(record, holder, outcome, now, retry_at), since=since)


def _count_at(session: Session, account: str) -> int | None:
    """How many keys there are; None also for an account that is not configured any more."""
    try:
        return session.services.at(account).account.key_count()
    except AccountGone as error:
        session.log(Event.COUNT_UNKNOWN, error=error.what, hint=error.hint)
        return None


def take_over(session: Session, holder: Holder) -> None:
    """The worker that was to create a key let its lease run out."""
    why = PersonNeeded(
        "the worker that asked HostUp for a key stopped before it could record the answer",
        target=session.target.name,
        hint="If keyCount has grown, look in HostUp's panel for a key with this label; see `rotator settle`.",
    )
    declare_unconfirmed(session, holder, why)


def recount(session: Session) -> None:
    """See whether ``keyCount`` clears up the unconfirmed creates that hold this target; if not, say so loudly."""
    try:
        count = session.here.account.look()
    except HostUpError as error:
        session.fail(error, "recount")
        return
    account = session.target.account
    session.change(lambda record: recounted(record, count, account))
    known = creates_at(session.record, account)
    if not waits_for_person(known):
        return
    creates = [create for create in known if create.open]
    labels = ", ".join(repr(create.label) for create in creates)
    why = PersonNeeded(
        f"{len(creates)} create calls may each have made a key that nobody has",
        target=session.target.name,
        hint=f"Look in HostUp's panel for keys labelled {labels}, then run `rotator settle {session.target.name}`. The "
        "current key stays as it is until then.",
    )
    session.fail(why, "recount")
    session.log(Event.TARGET_BLOCKED, error=why.what, hint=why.hint)
