"""Finds out what became of a call that got no answer: by what is in Vault, and by whether the old key still works."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus

from worker.errors import HostUpError, HostUpRateLimited, HostUpRefused, PersonNeeded
from worker.rotation.api_key.changes import placed
from worker.rotation.api_key.decide import Terms
from worker.rotation.api_key.desk import ApiKeyDesk
from worker.rotation.api_key.finding import Finding, found_out
from worker.rotation.api_key.record import ApiKeyRecord, Call
from worker.rotation.api_key.store import Kept, Rescued
from worker.rotation.ports import NewApiKey

NOT_PLACED = "the new API key could not be put where it belongs, and was kept beside the record"


def find_out(desk: ApiKeyDesk, terms: Terms, kept: Kept) -> Kept:
    """What became of the call: by what is in Vault, and by whether the old key still works."""
    call = kept.record.call
    if call is None:
        raise PersonNeeded("the record of the API key names no call", hint=terms.way_out(desk.account))
    newer = _newer(desk, kept, call)
    if newer:
        return newer
    rescued = desk.store.rescued()
    tried = _try_rescued(desk, call, rescued)
    new = tried.works
    if new:
        now = desk.clock.now()
        return desk.store.change_until_written(kept, lambda record: placed(record, call, new, now, new.key_id))
    finding, why = (Finding.UNKNOWN, tried.unknown) if tried.unknown else _life_of_old(desk)
    if finding in (Finding.DEAD, Finding.REFUSED) and (newer := _newer(desk, kept, call)):
        return newer  # it came while HostUp was asked
    if finding in (Finding.LIVES, Finding.DEAD) and tried.all_dead:
        desk.store.settle_rescued(rescued, "HostUp takes none of them")
    now = desk.clock.now()
    return desk.store.change(
        kept, lambda record: found_out(record, finding, why, terms, now) if _is_same(record, call) else record
    )


def _newer(desk: ApiKeyDesk, kept: Kept, call: Call) -> Kept | None:
    """The record once Vault is seen to hold another key than the one that was to be replaced."""
    try:
        held = desk.place.read()
    except PersonNeeded:
        return None
    if held.mark == call.old_mark:
        return None
    now = desk.clock.now()
    ours = replace(call, request_id=held.request_id) if held.call == call.id else call
    return desk.store.change(
        kept, lambda record: placed(record, ours, None, now, held.key_id) if _is_same(record, call) else record
    )


def _is_same(record: ApiKeyRecord, call: Call) -> bool:
    return record.call is not None and record.call.id == call.id


@dataclass(frozen=True, slots=True)
class _Tried:
    """What came of trying the rescued keys: the one that works, once it is in its place; else why nobody knows.

    ``all_dead``: HostUp knows none of them, so none need be kept.
    """

    works: NewApiKey | None = None
    unknown: str = ""
    all_dead: bool = False


def _try_rescued(desk: ApiKeyDesk, call: Call, rescued: Rescued) -> _Tried:
    unknown, all_dead = "", bool(rescued.keys)
    for api_key in rescued.keys:
        desk.place.keep_secret(api_key)
        try:
            desk.hostup.prove(api_key)
        except HostUpError as error:
            unknown = unknown or ("" if is_refusal(error) else error.what)
            all_dead = all_dead and _is_unknown_there(error)
            continue
        new = NewApiKey(api_key, rescued.key_id, rescued.request_id, salvaged=("it was rescued",))
        if desk.place.put(call, new):
            desk.store.settle_rescued(desk.store.rescued(), "it is in its place")
            return _Tried(new)
        return _Tried(unknown=NOT_PLACED)
    return _Tried(unknown=unknown, all_dead=all_dead)


def _life_of_old(desk: ApiKeyDesk) -> tuple[Finding, str]:
    try:
        desk.hostup.prove(desk.place.read().api_key)
    except PersonNeeded as error:
        return Finding.UNKNOWN, error.what
    except HostUpError as error:
        if _is_unknown_there(error):
            return Finding.DEAD, ""
        return (Finding.REFUSED if is_refusal(error) else Finding.UNKNOWN), error.what
    return Finding.LIVES, ""


def is_refusal(error: HostUpError) -> bool:
    """Whether HostUp clearly does not let the key do anything; other than a 401 it may be a gateway's, to any key."""
    return isinstance(error, HostUpRefused) and not isinstance(error, HostUpRateLimited)


def _is_unknown_there(error: HostUpError) -> bool:
    return isinstance(error, HostUpRefused) and error.answer.status == HTTPStatus.UNAUTHORIZED
