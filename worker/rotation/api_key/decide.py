"""What is done next about an API key, decided from its record and a clock; and what a look makes of the record. Pure.

The call that makes a key is never repeated for the same intent. What became of one that got no answer is found out:

- Vault holds another key than the one that was to be replaced: it is proven, and used from then on;
- the old one still works: not rolled, as far as is known; said after a while, as such a call may be carried out late;
- HostUp refuses the old one: the new key was lost with its answer. A person is needed, or the bootstrap key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from worker.errors import HostUpError, RotatorError
from worker.events import Event
from worker.rotation.api_key.record import ApiKeyRecord, Call, Phase, Trouble
from worker.rotation.ports import ApiKeyGrants, NewApiKey

SETTLED_AFTER_LEASES = 4
"""A call that timed out may be carried out later; after so many leases it is taken for not carried out."""

AGAIN_AFTER = timedelta(hours=1)
"""When a roll is tried again that failed, or was not carried out."""

LATEST = timedelta(days=1)
"""So long it is still looked at now and then whether a call that got no answer was carried out after all."""

LONGEST_PAUSE = timedelta(minutes=5)
"""Between two looks at what became of a call."""

LOST = "HostUp refuses the API key that is in Vault, and nobody has the answer to the call that may have replaced it"
WAY_OUT = (
    "Make an API key with the same scopes in HostUp's panel, write it to {place} (fields api_key and key_id), and run "
    "`rotator roll-api-key{account} --settle`. Delete the lost one in the panel."
)


class Step(StrEnum):
    """What is done next."""

    WAIT = "wait"
    ROLL = "roll"
    FIND_OUT = "find out"
    PROVE = "prove"
    CREATE = "create"


class Finding(StrEnum):
    """What a look found out about a call without an answer."""

    NEWER = "newer"
    """Vault holds another key than the one that was to be replaced."""
    LIVES = "lives"
    """HostUp takes the key that was to be replaced."""
    DEAD = "dead"
    """HostUp refuses it, and no other one is in Vault."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for an account's API key: how old it gets (None: any age), the lease, and how often it is looked at.

    ``place`` is where the key lies, for people; ``bootstrap``: whether there is a key that can make another one.
    """

    every: timedelta | None
    lease: timedelta
    tick: timedelta
    place: str
    bootstrap: bool = False

    def way_out(self, account: str) -> str:
        """What a person does about a lost key."""
        return WAY_OUT.format(place=self.place, account="" if account == "default" else f" {account}")


def due_at(record: ApiKeyRecord, terms: Terms, since: datetime | None) -> datetime | None:
    """When it is rolled by itself; ``since`` is how old the key in Vault is at least. None: never."""
    made = record.rolled_at or since
    return made + terms.every if terms.every and made else None


def decide(record: ApiKeyRecord, terms: Terms, now: datetime, due: datetime | None, *, asked: bool = False) -> Step:
    """The next step; ``asked``: a person wants it rolled now, whatever failed before."""
    call = record.call
    match record.phase:
        case Phase.IDLE:
            return _when_idle(record, now, due, asked=asked)
        case Phase.LOST if terms.bootstrap and not record.tried_create:
            return Step.CREATE
    if call is None:
        return Step.FIND_OUT
    if record.phase in (Phase.ROLLING, Phase.CREATING):
        return Step.WAIT if now < call.until else Step.FIND_OUT
    if not asked and now < call.next_look:
        return Step.WAIT
    return Step.PROVE if record.phase is Phase.PLACED else Step.FIND_OUT


def _when_idle(record: ApiKeyRecord, now: datetime, due: datetime | None, *, asked: bool) -> Step:
    """A roll that is asked for or due; else whether a call that got no answer was carried out after all."""
    call, trouble = record.call, record.trouble
    held = trouble is not None and (trouble.retry_at is None or now < trouble.retry_at)
    if asked or (due is not None and due <= now and not held):
        return Step.ROLL
    return Step.FIND_OUT if call and now >= call.next_look else Step.WAIT


def begun(record: ApiKeyRecord, call: Call, *, create: bool = False) -> ApiKeyRecord:
    """The intent, on record before HostUp is asked."""
    phase = Phase.CREATING if create else Phase.ROLLING
    changed = replace(record, phase=phase, call=call, tried_create=create or record.tried_create)
    return changed.noting(
        Event.API_KEY_ROLLING,
        call.started_at,
        call=call.id,
        trigger=call.trigger,
        by=call.by,
        old_key_id=call.old_key_id,
        how="create by the bootstrap key" if create else "roll",
    )


def placed(record: ApiKeyRecord, call: Call, new: NewApiKey | None, now: datetime, key_id: str | None) -> ApiKeyRecord:
    """The new key is in Vault; ``new`` is the answer, where it was this one that got it."""
    if record.phase is Phase.PLACED and record.call and record.call.id == call.id:
        return record
    request_id = (new.request_id if new else None) or call.request_id
    received = replace(call, request_id=request_id, new_key_id=key_id, next_look=now, looks=0)
    grants = _merged(record.grants, new.grants) if new else record.grants
    changed = replace(record, phase=Phase.PLACED, call=received, grants=grants)
    return changed.noting(
        Event.API_KEY_RECEIVED,
        now,
        request_id,
        call=call.id,
        by=call.by,
        old_key_id=call.old_key_id,
        new_key_id=key_id,
        salvaged=", ".join(new.salvaged) if new else "",
    )


def _merged(known: ApiKeyGrants, told: ApiKeyGrants) -> ApiKeyGrants:
    """What the newest answer says; what it leaves out stays as it was."""
    return ApiKeyGrants(
        told.name or known.name,
        known.scopes if told.scopes is None else told.scopes,
        known.dns_permissions if told.dns_permissions is None else told.dns_permissions,
    )


def proven(
    record: ApiKeyRecord, key_id: str | None, now: datetime, request_id: str | None, by: str = ""
) -> ApiKeyRecord:
    """The key in Vault works, whose id is ``key_id``. ``by``: a person settled it."""
    call = record.call
    if record.phase is not Phase.PLACED and not by:
        return record
    changed = replace(
        record, phase=Phase.IDLE, call=None, trouble=None, rolled_at=now, key_id=key_id, tried_create=False
    )
    if by:
        return changed.noting(Event.API_KEY_SETTLED, now, request_id, by=by, new_key_id=key_id)
    return changed.noting(
        Event.API_KEY_ROLLED,
        now,
        call.request_id if call else None,
        call=call.id if call else None,
        by=call.by if call else None,
        old_key_id=call.old_key_id if call else None,
        new_key_id=key_id,
        proof_request_id=request_id,
        duration_ms=round((now - call.started_at).total_seconds() * 1000) if call else None,
    )


def unprepared(record: ApiKeyRecord, error: RotatorError, now: datetime) -> ApiKeyRecord:
    """What stands in the way before HostUp is asked; the same again adds nothing to the history."""
    if record.phase is not Phase.IDLE:
        return record
    known = record.trouble is not None and record.trouble.what == error.what
    changed = replace(record, trouble=_trouble(record, error, now, now + AGAIN_AFTER))
    return changed if known else changed.noting(Event.API_KEY_FAILED, now, error=error.what, hint=error.hint)


def refused(record: ApiKeyRecord, call: Call, error: HostUpError, terms: Terms, now: datetime) -> ApiKeyRecord:
    """A clear no to the call, or nothing was sent: nothing was made."""
    if not _is_at(record, call):
        return record
    if record.phase is Phase.CREATING:
        return _lost(record, terms, now, error)
    trouble = _trouble(record, error, now, now + max(AGAIN_AFTER, timedelta(seconds=error.retry_after or 0)))
    changed = replace(record, phase=Phase.IDLE, call=None, trouble=trouble)
    return changed.noting(
        Event.API_KEY_FAILED, now, error.request_id, call=call.id, by=call.by, error=error.what, hint=error.hint
    )


def doubted(
    record: ApiKeyRecord, call: Call, error: RotatorError, terms: Terms, now: datetime, *, soon: bool = False
) -> ApiKeyRecord:
    """Nobody knows what became of the call. ``soon``: there is something to be tried out at once."""
    if not _is_at(record, call):
        return record
    if record.phase is Phase.CREATING and not soon:
        return _lost(record, terms, now, error)
    next_look = now if soon else now + terms.tick
    later = replace(call, next_look=next_look, request_id=error.request_id or call.request_id)
    changed = replace(record, phase=Phase.DOUBTFUL, call=later)
    return changed.noting(
        Event.API_KEY_DOUBTFUL, now, error.request_id, call=call.id, by=call.by, error=error.what, hint=error.hint
    )


def _is_at(record: ApiKeyRecord, call: Call) -> bool:
    """Whether the record still waits for what this call brings."""
    under_way = record.phase in (Phase.ROLLING, Phase.CREATING)
    return under_way and record.call is not None and record.call.id == call.id


def found_out(record: ApiKeyRecord, finding: Finding, why: str, terms: Terms, now: datetime) -> ApiKeyRecord:
    """What a look found, for all but :attr:`Finding.NEWER`; ``why`` says what kept it from finding out."""
    call = record.call
    if finding is Finding.UNKNOWN or call is None:
        return _looked(record, terms, now, why)
    if finding is Finding.DEAD:
        return _looked(record, terms, now, "") if record.phase is Phase.LOST else _lost(record, terms, now, None)
    if record.phase is Phase.IDLE:
        return _still_lives(record, call, now)
    settled = call.created or record.phase is Phase.LOST
    if not settled and now < call.started_at + SETTLED_AFTER_LEASES * terms.lease:
        later = replace(call, next_look=now + _pause(call, terms), looks=call.looks + 1)
        return replace(record, phase=Phase.DOUBTFUL, call=later)
    return _not_rolled(record, call, now)


def _still_lives(record: ApiKeyRecord, call: Call, now: datetime) -> ApiKeyRecord:
    """It was said that it was not rolled, and so it is; after a day that is believed."""
    if now >= call.started_at + LATEST:
        return replace(record, call=None, trouble=None)
    return replace(record, call=replace(call, next_look=now + AGAIN_AFTER))


def _not_rolled(record: ApiKeyRecord, call: Call, now: datetime) -> ApiKeyRecord:
    what = "the API key was not rolled, as far as is known: the call got no answer, and the old key still works"
    if call.created:
        what += "; a create by the bootstrap key may have made one more, which nobody has"
    hint = "It is tried again in an hour, as such a call may be carried out late; `rotator roll-api-key` does so now."
    trouble = Trouble(what, hint, now, _count(record), now + AGAIN_AFTER, call.request_id)
    later = replace(call, next_look=now + AGAIN_AFTER)
    changed = replace(record, phase=Phase.IDLE, call=later, trouble=trouble, tried_create=False)
    return changed.noting(Event.API_KEY_FAILED, now, call.request_id, call=call.id, by=call.by, error=what, hint=hint)


def _lost(record: ApiKeyRecord, terms: Terms, now: datetime, error: RotatorError | None) -> ApiKeyRecord:
    call = record.call
    created = record.phase is Phase.CREATING or (call is not None and call.created)
    what = f"{LOST}; a create by the bootstrap key did not help: {error.what}" if error else LOST
    if created and error is None:
        what = f"{LOST}; so may be one that was created by the bootstrap key, as nobody has its answer"
    hint = terms.way_out(record.account)
    trouble = Trouble(what, hint, now, 1, None, error.request_id if error else None)
    later = replace(call, next_look=now + terms.tick, looks=call.looks + 1, created=created) if call else None
    changed = replace(record, phase=Phase.LOST, call=later, trouble=trouble)
    return changed.noting(
        Event.API_KEY_LOST,
        now,
        error.request_id if error else None,
        call=call.id if call else None,
        by=call.by if call else None,
        old_key_id=call.old_key_id if call else None,
        error=what,
        hint=hint,
    )


def _looked(record: ApiKeyRecord, terms: Terms, now: datetime, why: str) -> ApiKeyRecord:
    """Nothing was found out: it is looked at again, less and less often."""
    call = record.call
    if call is None:
        return record
    later = replace(call, next_look=now + _pause(call, terms), looks=call.looks + 1)
    phase = Phase.DOUBTFUL if record.phase is Phase.ROLLING else record.phase
    known = record.trouble
    trouble = known or Trouble(why, "It is looked at again.", now, 1, later.next_look) if why else known
    return replace(record, phase=phase, call=later, trouble=trouble)


def unproven(record: ApiKeyRecord, error: HostUpError, terms: Terms, now: datetime, *, refused: bool) -> ApiKeyRecord:
    """The key in Vault could not be proven; ``refused``: HostUp does not take it."""
    call = record.call
    if record.phase is not Phase.PLACED or call is None:
        return record
    later = replace(call, next_look=now + _pause(call, terms), looks=call.looks + 1)
    since = record.trouble.since if record.trouble else now
    late = refused and now >= call.started_at + SETTLED_AFTER_LEASES * terms.lease
    hint = terms.way_out(record.account) if late else "It is looked at again."
    retry_at = None if late else later.next_look
    what = f"the new API key in Vault is not proven: {error.what}"
    trouble = Trouble(what, hint, since, _count(record), retry_at, error.request_id)
    told = late and not (record.trouble and record.trouble.retry_at is None)
    changed = replace(record, call=later, trouble=trouble)
    if not told:
        return changed
    facts = {"call": call.id, "by": call.by, "new_key_id": call.new_key_id, "error": what, "hint": hint}
    return changed.noting(Event.API_KEY_LOST, now, error.request_id, **facts)


def _trouble(record: ApiKeyRecord, error: RotatorError, now: datetime, retry_at: datetime) -> Trouble:
    since = record.trouble.since if record.trouble else now
    return Trouble(error.what, error.hint, since, _count(record), retry_at, error.request_id)


def _count(record: ApiKeyRecord) -> int:
    return record.trouble.count + 1 if record.trouble else 1


def _pause(call: Call, terms: Terms) -> timedelta:
    return min(terms.tick * (1 << min(call.looks, 20)), max(LONGEST_PAUSE, terms.tick))
