"""What a look at a call without an answer makes of the record of an API key. Pure.

What became of such a call is found out by two questions:

- Vault holds another key than the one that was to be replaced: it is proven, and used from then on;
- the old one still works: not rolled, as far as is known; said after a while, as such a call may be carried out late;
- HostUp refuses the old one: the new key was lost with its answer. A person is needed, or the bootstrap key. A refusal
  other than 401 may be a gateway's, to any key; it counts once nothing else came for a while.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from worker.errors import RotatorError
from worker.events import Event
from worker.rotation.api_key.decide import Terms
from worker.rotation.api_key.record import ApiKeyRecord, Call, Phase, Trouble
from worker.targets.account import account_word

SETTLED_AFTER_LEASES = 4
"""A call that timed out may be carried out later; after so many leases it is taken for not carried out."""

AGAIN_AFTER = timedelta(hours=1)
"""When a roll is tried again that failed, or was not carried out."""

LATEST = timedelta(days=1)
"""So long it is still looked at now and then whether a call that got no answer was carried out after all."""

REFUSED_FOR = timedelta(hours=1)
"""So long each look meets a refusal that may be a gateway's, before it is taken for one of the key."""

LONGEST_PAUSE = timedelta(minutes=5)
"""Between two looks at what became of a call."""

GONE = (
    "HostUp knows no API key of the id that is in Vault, so an earlier call whose answer nobody has was probably "
    "carried out: the key that is used may die at any time"
)
LOST = "HostUp refuses the API key that is in Vault, and nobody has the answer to the call that may have replaced it"


class Finding(StrEnum):
    """What a look found out about a call without an answer."""

    NEWER = "newer"
    """Vault holds another key than the one that was to be replaced."""
    LIVES = "lives"
    """HostUp takes the key that was to be replaced."""
    DEAD = "dead"
    """HostUp refuses it, and no other one is in Vault."""
    REFUSED = "refused"
    """HostUp clearly refuses it, but not for the key itself: so may a gateway, any key."""
    UNKNOWN = "unknown"


def found_out(record: ApiKeyRecord, finding: Finding, why: str, terms: Terms, now: datetime) -> ApiKeyRecord:
    """What a look found, for all but :attr:`Finding.NEWER`; ``why`` says what kept it from finding out."""
    call = record.call
    if finding is Finding.UNKNOWN or call is None:
        return _looked(record, terms, now, why)
    if finding is Finding.REFUSED:
        return _refused(record, call, why, terms, now)
    if finding is Finding.DEAD:
        return _looked(record, terms, now, "") if record.phase is Phase.LOST else lost(record, terms, now, None)
    call = replace(call, refused_since=None)
    if record.phase is Phase.IDLE:
        return _still_lives(record, call, now)
    settled = call.created or record.phase is Phase.LOST
    if not settled and now < call.started_at + SETTLED_AFTER_LEASES * terms.lease:
        later = replace(call, next_look=now + pause_of(call, terms), looks=call.looks + 1)
        return replace(record, phase=Phase.DOUBTFUL, call=later)
    return _not_rolled(record, call, now)


def _still_lives(record: ApiKeyRecord, call: Call, now: datetime) -> ApiKeyRecord:
    """It was said that it was not rolled, and so it is; after a day that is believed, unless its id is gone."""
    if not call.gone and now >= call.started_at + LATEST:
        return replace(record, call=None, trouble=None)
    return replace(record, call=replace(call, next_look=now + AGAIN_AFTER))


def _refused(record: ApiKeyRecord, call: Call, why: str, terms: Terms, now: datetime) -> ApiKeyRecord:
    """The key is clearly refused, but perhaps by a gateway: where nothing else comes, it is as lost as by a 401."""
    since = call.refused_since or now
    seen = replace(record, call=replace(call, refused_since=since))
    if record.phase is Phase.LOST or now < since + REFUSED_FOR:
        return _looked(seen, terms, now, why)
    return lost(seen, terms, now, None, why)


def gone(record: ApiKeyRecord, call: Call, terms: Terms, now: datetime, error: RotatorError) -> ApiKeyRecord:
    """HostUp no longer knows the id of the key in Vault, after a call about it that got no answer."""
    trouble = Trouble(GONE, terms.way_out(record.account), now, 1, None, error.request_id)
    changed = replace(record, call=replace(call, gone=True), trouble=trouble)
    return changed if call.gone else _told_lost(changed, now, trouble)


def _not_rolled(record: ApiKeyRecord, call: Call, now: datetime) -> ApiKeyRecord:
    what = "the API key was not rolled, as far as is known: the call got no answer, and the old key still works"
    if call.created:
        what += "; a create by the bootstrap key may have made one more, which nobody has"
    command = f"`rotator roll-api-key{account_word(record.account)}`"
    hint = f"It is tried again in an hour, as such a call may be carried out late; {command} does so now."
    trouble = Trouble(what, hint, now, count_of(record), now + AGAIN_AFTER, call.request_id)
    later = replace(call, next_look=now + AGAIN_AFTER)
    changed = replace(record, phase=Phase.IDLE, call=later, trouble=trouble, tried_create=False)
    return changed.noting(Event.API_KEY_FAILED, now, call.request_id, call=call.id, by=call.by, error=what, hint=hint)


def lost(record: ApiKeyRecord, terms: Terms, now: datetime, error: RotatorError | None, why: str = "") -> ApiKeyRecord:
    """The key is lost; ``error``: what came of a create by the bootstrap key; ``why``: how HostUp refuses it."""
    call = record.call
    created = record.phase is Phase.CREATING or (call is not None and call.created)
    what = f"{LOST}; a create by the bootstrap key did not help: {error.what}" if error else LOST
    if created and error is None:
        what = f"{LOST}; so may be one that was created by the bootstrap key, as nobody has its answer"
    what += f" ({why})" if why else ""
    hint = terms.way_out(record.account)
    trouble = Trouble(what, hint, now, 1, None, error.request_id if error else None)
    later = replace(call, next_look=now + terms.tick, looks=call.looks + 1, created=created) if call else None
    return _told_lost(replace(record, phase=Phase.LOST, call=later, trouble=trouble), now, trouble)


def _told_lost(record: ApiKeyRecord, now: datetime, trouble: Trouble) -> ApiKeyRecord:
    call = record.call
    return record.noting(
        Event.API_KEY_LOST,
        now,
        trouble.request_id,
        call=call.id if call else None,
        by=call.by if call else None,
        old_key_id=call.old_key_id if call else None,
        error=trouble.what,
        hint=trouble.hint,
    )


def _looked(record: ApiKeyRecord, terms: Terms, now: datetime, why: str) -> ApiKeyRecord:
    """Nothing was found out: it is looked at again, less and less often."""
    call = record.call
    if call is None:
        return record
    later = replace(call, next_look=now + pause_of(call, terms), looks=call.looks + 1)
    phase = Phase.DOUBTFUL if record.phase is Phase.ROLLING else record.phase
    known = record.trouble
    trouble = known or Trouble(why, "It is looked at again.", now, 1, later.next_look) if why else known
    return replace(record, phase=phase, call=later, trouble=trouble)


def count_of(record: ApiKeyRecord) -> int:
    """How often in a row it failed, this time included."""
    return record.trouble.count + 1 if record.trouble else 1


def pause_of(call: Call, terms: Terms) -> timedelta:
    """How long to wait before the next look."""
    return min(terms.tick * (1 << min(call.looks, 20)), max(LONGEST_PAUSE, terms.tick))
