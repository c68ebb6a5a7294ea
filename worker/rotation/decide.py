"""The one decision: what is the next step for a target. Pure: a record and a clock in, a step out.

The order of the checks is the policy. A rotation under way comes first, then keys that are to be retired, then a new
rotation; a step that waits never blocks another kind of step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.rotation.changes.rotation import ACCOUNT, DAY, HEALING, LEAK, MANUAL, SCHEDULE, Holder
from worker.rotation.changes.watch import may_heal
from worker.rotation.hold import hold_on
from worker.rotation.record import Phase, Record, RetiringKey, UnconfirmedCreate
from worker.targets.freeze import Freeze

HISTORY_LIMIT = 60
"""Entries kept in the record itself; docs/facts.md, "Vault", says what the servers take."""

RETIRING_LIMIT = 20
"""With so many keys on their way out, something is wrong with deleting, and no further key is made."""

CREATES_AGAIN_PER_DAY = 2
"""How often a create is repeated although one before it may have made a key (docs/decisions.md)."""

MOVES_PER_DAY = 4
"""How often in a day a key is replaced at once because the target belongs to another account: workers with different
configurations would else move it back and forth, each time with a new key."""

OPEN_CREATES = 20
"""With so many unconfirmed creates that nobody has settled, no further key is asked for, whatever the counts say."""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """The worker that was to create the key is gone: record that its create is unconfirmed."""

    holder: Holder


@dataclass(frozen=True, slots=True)
class Verify:
    """See whether the staged key works."""

    rotation_id: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Write the app's secret."""

    rotation_id: str


@dataclass(frozen=True, slots=True)
class LeaveBehind:
    """The staged key was made on an account that the target has left since: retire it."""

    rotation_id: str


@dataclass(frozen=True, slots=True)
class Delete:
    """The grace period of a key is over."""

    access_key: str


@dataclass(frozen=True, slots=True)
class Revoke:
    """A person wants the current key deleted, although there is no other."""

    access_key: str


@dataclass(frozen=True, slots=True)
class ProveDead:
    """Probe a deleted key."""

    access_key: str


@dataclass(frozen=True, slots=True)
class Archive:
    """Move old history out of the record."""


@dataclass(frozen=True, slots=True)
class Recount:
    """Too many creates are unconfirmed to go on: see whether ``keyCount`` clears them up."""


@dataclass(frozen=True, slots=True)
class Watch:
    """See whether apps can work with what they read."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a rotation: write the intent, and ask HostUp for the key while the lease is ours."""

    trigger: str
    reason: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until then."""

    until: datetime
    why: str


Step = (
    TakeOver | Verify | Publish | LeaveBehind | Revoke | Delete | ProveDead | Archive | Watch | Recount | Begin | Wait
)


HOUR = timedelta(hours=1)

UNASKED = "somebody to ask for a rotation"
"""What a target waits for that is rotated only when it is asked for."""

ROTATION = "the rotation"
NEW = "a new rotation"
WATCH = "the watch"

Pauses = Mapping[str, datetime]
"""Until when a kind of step waits without that being on record: :data:`ROTATION`, :data:`NEW`, :data:`WATCH`,
or an access key."""


def decide(
    record: Record,
    due: datetime | None,
    now: datetime,
    pauses: Pauses,
    *,
    watch: bool = False,
    freeze: Freeze | None = None,
    account: str | None = None,
) -> Step:
    """The next step of a target.

    ``due`` is when the schedule wants the next rotation, None: never; ``watch``: it is time to see what apps read;
    ``freeze`` is the one that ``now`` is in; ``account`` is the one that the target belongs to, None: as its keys do.
    """
    rotation, seen = record.rotation, _as_seen_at(record, account)
    if account and rotation and rotation.phase is Phase.STAGED and rotation.account != account:
        return LeaveBehind(rotation.id)
    step = _of_rotation(seen, now, pauses) or _of_leak(seen, due, now, pauses) or _of_retiring(seen, now, pauses)
    step = step or _of_the_rest(seen, due, now, pauses, freeze, watch=watch)
    return _named(step, record, account, now)


def _of_the_rest(
    record: Record, due: datetime | None, now: datetime, pauses: Pauses, freeze: Freeze | None, *, watch: bool
) -> Step:
    """What is done when no key of the target wants anything."""
    if len(record.history) > HISTORY_LIMIT or record.history.is_long:
        return Archive()
    if record.current and (watch or _is_doubtful(record)) and pauses.get(WATCH, now) <= now:
        return Watch()
    return _new(record, due, now, pauses, freeze) or _wait(record, due, now, pauses, freeze)


def creates_at(record: Record, account: str) -> tuple[UnconfirmedCreate, ...]:
    """The unconfirmed creates of one account: those of another hold no key back on this one."""
    return tuple(create for create in record.unconfirmed_creates if create.account == account)


def may_move(record: Record, account: str, now: datetime) -> bool:
    """Whether a rotation may begin by itself because the current key lies on another account than the target's."""
    recent = sum(1 for moment in record.moves if now - moment < DAY)
    return record.current is not None and record.current.account != account and recent < MOVES_PER_DAY


def _as_seen_at(record: Record, account: str | None) -> Record:
    """The record without what failed on another account than the one that is asked next."""
    asked = record.rotation.account if record.rotation else account
    failure = record.failure
    if failure and asked and failure.account != asked:
        record = replace(record, failure=None)
    if account and any(create.account != account for create in record.unconfirmed_creates):
        record = replace(record, unconfirmed_creates=creates_at(record, account))
    return record


def _named(step: Step, record: Record, account: str | None, now: datetime) -> Step:
    """A rotation that nobody asked for has its own trigger where it is for another account, as often as it may move."""
    if not isinstance(step, Begin) or step.trigger != SCHEDULE or not account or not may_move(record, account, now):
        return step
    return Begin(ACCOUNT, f"its key lies on account {record.current.account}") if record.current else step


def waits_for_person(creates: tuple[UnconfirmedCreate, ...]) -> bool:
    """Whether a create has been repeated as often in a day as is allowed while any of them may have made a key."""
    if sum(create.open for create in creates) >= OPEN_CREATES:
        return True
    risky = sorted(create.at for create in creates if create.open and not create.harmless)
    return any(last - first <= DAY for first, last in zip(risky, risky[CREATES_AGAIN_PER_DAY:], strict=False))


def _of_rotation(record: Record, now: datetime, pauses: Pauses) -> Step | None:
    rotation = record.rotation
    if rotation is None:
        return None
    if rotation.phase is Phase.CREATING:
        # the holder of the lease is asking HostUp just now; once the lease is over, the outcome of the call is unknown
        holder = Holder(rotation.id, rotation.lease.holder, rotation.account)
        return TakeOver(holder) if rotation.lease.until <= now else None
    if now < _goes_on_at(record, now, pauses):
        return None
    return Verify(rotation.id) if rotation.phase is Phase.STAGED else Publish(rotation.id)


def _goes_on_at(record: Record, now: datetime, pauses: Pauses) -> datetime:
    return max(_retry_at(record, now), pauses.get(ROTATION, now))


def _of_leak(record: Record, due: datetime | None, now: datetime, pauses: Pauses) -> Step | None:
    """A key that leaked is replaced before others are deleted; without another one only by a person's word."""
    if record.revoking and not record.deletes_held and pauses.get(record.revoking, now) <= now:
        return Revoke(record.revoking)
    return _new(record, due, now, pauses, None) if record.leaked else None


def _of_retiring(record: Record, now: datetime, pauses: Pauses) -> Step | None:
    for key in record.leaving:
        if _wanted_at(key, pauses) > now:
            continue
        if key.deleted_at:
            return ProveDead(key.access_key)
        if not record.deletes_held:
            return Delete(key.access_key)
    return None


def _wanted_at(key: RetiringKey, pauses: Pauses) -> datetime:
    return max(key.wanted_at, pauses.get(key.access_key, key.wanted_at))


def _is_doubtful(record: Record) -> bool:
    """Whether the watch found something that a second look has to confirm."""
    return record.trouble is not None and not record.trouble.confirmed


def _new(
    record: Record, due: datetime | None, now: datetime, pauses: Pauses, freeze: Freeze | None
) -> Begin | Recount | None:
    if record.rotation or not _is_wanted(record, due, now) or now < _begins_at(record, now, pauses):
        return None
    if hold_on(record, now, _cold(record, now, freeze)):
        return None
    if waits_for_person(record.unconfirmed_creates):
        return Recount()
    if _is_full(record):
        return None
    return _begin(record, now)


def _cold(record: Record, now: datetime, freeze: Freeze | None) -> Freeze | None:
    """The freeze, where it counts: apps that cannot work with what they read are worse than any change."""
    return None if may_heal(record, now) else freeze


def _begin(record: Record, now: datetime) -> Begin:
    for request in record.requests:
        if request.leaked:
            return Begin(LEAK, request.reason)
    if record.trouble and may_heal(record, now):
        return Begin(HEALING, record.trouble.what)
    if record.requests:
        return Begin(MANUAL, record.requests[0].reason)
    return Begin(SCHEDULE, "")


def _is_full(record: Record) -> bool:
    """Whether so many keys retire that no further one is made: but one that leaked is replaced all the same.

    That makes room, as it ends the grace of all that were current.
    """
    return len(record.retiring) >= RETIRING_LIMIT and not record.leaked


def _begins_at(record: Record, now: datetime, pauses: Pauses) -> datetime:
    return max(_retry_at(record, now), pauses.get(NEW, now))


def _is_wanted(record: Record, due: datetime | None, now: datetime) -> bool:
    return bool(record.requests) or (due is not None and due <= now) or may_heal(record, now)


def _retry_at(record: Record, now: datetime) -> datetime:
    """When the backoff of the last failure is over; what came later does not wait for it: a request, a dead key.

    What the API itself asked for with Retry-After is always waited for.
    """
    failure = record.failure
    if failure is None:
        return now
    asked_since = any(request.at > failure.at for request in record.requests)
    asked_since |= record.trouble is not None and may_heal(record, now) and record.trouble.since > failure.at
    return now if asked_since and failure.kind != "HostUpRateLimited" else failure.retry_at


def _wait(record: Record, due: datetime | None, now: datetime, pauses: Pauses, freeze: Freeze | None) -> Wait:
    wanted = not record.rotation and _is_wanted(record, due, now)
    moments = (*_moments(record, now, pauses, wanted=wanted), *_of_new(record, due, now, pauses, freeze))
    when, why = min(moments, key=lambda moment: moment[0], default=(now + DAY, UNASKED))
    return Wait(max(when, now), why)


def _moments(record: Record, now: datetime, pauses: Pauses, *, wanted: bool) -> Iterator[tuple[datetime, str]]:
    """What the target waits for apart from a new rotation (which may be ``wanted``), as it follows "waits for"."""
    if record.revoking and not record.deletes_held:
        yield pauses.get(record.revoking, now), f"the next try to delete access key {record.revoking}"
    if record.trouble and not record.trouble.confirmed:
        yield pauses.get(WATCH, now), f"a second look to confirm that {record.trouble.what}"
    full = ""
    if wanted and _is_full(record):
        full = f"one of {len(record.retiring)} retiring keys to go, which hold a new key back: "
    for key in record.leaving:
        if record.deletes_held and not key.deleted_at:
            continue  # an audit or a person lets it go on
        refused = f"the object storage to refuse access key {key.access_key}"
        grace = f"the grace period of access key {key.access_key} to end"
        grace = f"access key {key.access_key} to be deleted" if key.wanted_at <= now else grace
        yield _wanted_at(key, pauses), full + (refused if key.deleted_at else grace)
    rotation = record.rotation
    if rotation and rotation.phase is Phase.CREATING:
        yield rotation.lease.until, "the worker that asks HostUp for a key, or the end of its lease"
    elif rotation:
        yield _goes_on_at(record, now, pauses), "the next try of the rotation under way"


def _of_new(
    record: Record, due: datetime | None, now: datetime, pauses: Pauses, freeze: Freeze | None
) -> Iterator[tuple[datetime, str]]:
    """What a new rotation waits for."""
    if record.rotation:
        return
    hold = hold_on(record, now, _cold(record, now, freeze))
    if not _is_wanted(record, due, now):
        if due is not None:
            yield due, "the next rotation"
    elif hold:
        yield hold.until or now + HOUR, hold.why
    elif _is_full(record):
        yield now + HOUR, f"{len(record.retiring)} retiring keys to be gone, before another one is made"
    else:
        yield _begins_at(record, now, pauses), "the next try of a rotation"
