"""Finds out what became of a call that got no answer: by what is in Vault, and by whether the old key still works."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus

from worker.errors import HostUpError, HostUpRefused, PersonNeeded
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
    tried, why = _try_rescued(desk, call, rescued)
    if tried:
        now = desk.clock.now()
        return desk.store.change_until_written(kept, lambda record: placed(record, call, tried, now, tried.key_id))
    finding, why = (Finding.UNKNOWN, why) if why else _life_of_old(desk)
    if finding is Finding.DEAD and (newer := _newer(desk, kept, call)):
        return newer  # it came while HostUp was asked
    if finding in (Finding.LIVES, Finding.DEAD) and rescued.keys:
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


def _try_rescued(desk: ApiKeyDesk, call: Call, rescued: Rescued) -> tuple[NewApiKey | None, str]:
    """The rescued key that works, once it is in its place; else why nobody knows whether one does."""
    unknown = ""
    for api_key in rescued.keys:
        desk.place.keep_secret(api_key)
        try:
            desk.hostup.prove(api_key)
        except HostUpError as error:
            unknown = unknown or ("" if is_refusal(error) else error.what)
            continue
        new = NewApiKey(api_key, rescued.key_id, rescued.request_id, salvaged=("it was rescued",))
        if desk.place.put(call, new):
            desk.store.settle_rescued(desk.store.rescued(), "it is in its place")
            return new, ""
        return None, NOT_PLACED
    return None, unknown


def _life_of_old(desk: ApiKeyDesk) -> tuple[Finding, str]:
    try:
        desk.hostup.prove(desk.place.read().api_key)
    except PersonNeeded as error:
        return Finding.UNKNOWN, error.what
    except HostUpError as error:
        # 403 says nothing: a gateway answers it to any key
        dead = isinstance(error, HostUpRefused) and error.answer.status == HTTPStatus.UNAUTHORIZED
        return (Finding.DEAD, "") if dead else (Finding.UNKNOWN, error.what)
    return Finding.LIVES, ""


def is_refusal(error: HostUpError) -> bool:
    """Whether HostUp does not let the key do anything."""
    return isinstance(error, HostUpRefused) and error.answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
