"""What each step makes of the record of an API key. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from http import HTTPStatus

from worker.errors import HostUpError, RotatorError
from worker.events import Event
from worker.rotation.api_key.decide import Terms
from worker.rotation.api_key.finding import AGAIN_AFTER, SETTLED_AFTER_LEASES, count_of, gone, lost, pause_of
from worker.rotation.api_key.record import ApiKeyRecord, Call, Phase, Trouble
from worker.rotation.ports import ApiKeyGrants, NewApiKey


def begun(record: ApiKeyRecord, call: Call, *, create: bool = False) -> ApiKeyRecord:
    """The intent, on record before HostUp is asked."""
    phase = Phase.CREATING if create else Phase.ROLLING
    known = record.call
    earlier = known if known and record.phase is Phase.IDLE and known.old_mark == call.old_mark else None
    tried = create or record.tried_create
    changed = replace(record, phase=phase, call=call, earlier=earlier, tried_create=tried)
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
    settled = replace(record, phase=Phase.IDLE, call=None, earlier=None, trouble=None, tried_create=False)
    changed = replace(settled, rolled_at=now, key_id=key_id)
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
    """A clear no to the call, or nothing was sent: nothing was made. What became of an earlier one is open still."""
    if not _is_at(record, call):
        return record
    if record.phase is Phase.CREATING:
        return lost(record, terms, now, error)
    earlier = record.earlier
    trouble = _trouble(record, error, now, now + max(AGAIN_AFTER, timedelta(seconds=error.retry_after or 0)))
    changed = replace(record, phase=Phase.IDLE, call=earlier, earlier=None, trouble=trouble)
    changed = changed.noting(
        Event.API_KEY_FAILED, now, error.request_id, call=call.id, by=call.by, error=error.what, hint=error.hint
    )
    id_is_gone = error.answer.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
    if not earlier or not id_is_gone or earlier.old_key_id != call.old_key_id:
        return changed
    return gone(changed, earlier, terms, now, error)


def doubted(
    record: ApiKeyRecord, call: Call, error: RotatorError, terms: Terms, now: datetime, *, soon: bool = False
) -> ApiKeyRecord:
    """Nobody knows what became of the call. ``soon``: there is something to be tried out at once."""
    if not _is_at(record, call):
        return record
    if record.phase is Phase.CREATING and not soon:
        return lost(record, terms, now, error)
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


def unproven(record: ApiKeyRecord, error: HostUpError, terms: Terms, now: datetime, *, refused: bool) -> ApiKeyRecord:
    """The key in Vault could not be proven; ``refused``: HostUp does not take it."""
    call = record.call
    if record.phase is not Phase.PLACED or call is None:
        return record
    later = replace(call, next_look=now + pause_of(call, terms), looks=call.looks + 1)
    since = record.trouble.since if record.trouble else now
    late = refused and now >= call.started_at + SETTLED_AFTER_LEASES * terms.lease
    hint = terms.way_out(record.account) if late else "It is looked at again."
    retry_at = None if late else later.next_look
    what = f"the new API key in Vault is not proven: {error.what}"
    trouble = Trouble(what, hint, since, count_of(record), retry_at, error.request_id)
    told = late and not (record.trouble and record.trouble.retry_at is None)
    changed = replace(record, call=later, trouble=trouble)
    if not told:
        return changed
    facts = {"call": call.id, "by": call.by, "new_key_id": call.new_key_id, "error": what, "hint": hint}
    return changed.noting(Event.API_KEY_LOST, now, error.request_id, **facts)


def _trouble(record: ApiKeyRecord, error: RotatorError, now: datetime, retry_at: datetime) -> Trouble:
    since = record.trouble.since if record.trouble else now
    return Trouble(error.what, error.hint, since, count_of(record), retry_at, error.request_id)
