"""Brings an account's API key to where it should be, step by step; each step is on record before the next begins."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus

from worker.errors import (
    HostUpError,
    HostUpUncertain,
    PersonNeeded,
    RotatorError,
    Superseded,
    VaultDenied,
    VaultUnavailable,
)
from worker.events import Event
from worker.rotation.api_key.changes import begun, doubted, placed, proven, refused, unprepared, unproven
from worker.rotation.api_key.decide import Step, Terms, decide, due_at
from worker.rotation.api_key.desk import ApiKeyDesk
from worker.rotation.api_key.find_out import NOT_PLACED, find_out, is_refusal
from worker.rotation.api_key.place import Held
from worker.rotation.api_key.record import ApiKeyRecord, Call, Phase
from worker.rotation.api_key.store import Kept
from worker.rotation.ports import ApiKeyGrants, NewApiKey
from worker.rotation.until_written import until_written

MOST_STEPS = 12
"""A guard against going round in circles; a roll takes two."""

UNSURE = "the answer with the new API key is not in the documented form"


@dataclass(frozen=True, slots=True)
class Wish:
    """A person wants the key rolled now."""

    by: str


def tend(desk: ApiKeyDesk, wish: Wish | None = None, *, may_begin: bool = True) -> ApiKeyRecord:
    """Do all that can be done now, and answer the record then. ``may_begin``: a roll that is due may begin.

    Raises VaultError, RecordError (the record cannot be used), and with a wish what stands in its way: PersonNeeded.
    """
    kept, asked = desk.store.load(), wish is not None
    for _ in range(MOST_STEPS):
        terms = _terms(desk, kept.record)
        step = decide(kept.record, terms, desk.clock.now(), _due(desk, kept.record), asked=asked)
        if step is Step.WAIT or (step is Step.ROLL and not (asked or may_begin)):
            break
        try:
            kept = _do(desk, terms, kept, step, wish)
        except Superseded:
            kept = desk.store.load()
        asked = False  # what was found out about an earlier call is no reason to begin another one at once
    return kept.record


@dataclass(frozen=True, slots=True)
class Standing:
    """How an API key stands, for who shows it: since when it is in use, when it is rolled by itself, who is waited for.

    None where that is not known, or never.
    """

    made_at: datetime | None
    roll_at: datetime | None
    needs_person: bool


def standing(desk: ApiKeyDesk, record: ApiKeyRecord) -> Standing:
    """How the key stands by its record, and by what is in Vault. Raises VaultError."""
    made = record.rolled_at
    if made is None:
        try:
            made = desk.place.read().since
        except PersonNeeded:
            return Standing(None, None, needs_person=True)
    return Standing(made, due_at(record, desk.terms, made), record.needs_person)


def settle(desk: ApiKeyDesk, by: str) -> ApiKeyRecord:
    """A person has put a working key into Vault: prove it, and go on with it.

    Raises PersonNeeded where there is none, HostUpError where it does not work, VaultError.
    """
    kept, held = desk.store.anew(), desk.place.read()
    status = desk.hostup.prove(held.api_key)
    now = desk.clock.now()
    kept = desk.store.change(kept, lambda record: proven(record, held.key_id, now, status.request_id, by))
    rescued = desk.store.rescued()
    if rescued.keys:
        desk.store.settle_rescued(rescued, f"{by} settled it with another key")
    desk.circuit.succeeded()
    return kept.record


def may_bootstrap(desk: ApiKeyDesk, record: ApiKeyRecord) -> bool:
    """Whether there is a bootstrap key that can be used: without scopes no key can be created."""
    return desk.terms.bootstrap and bool(_wanted(desk, record).scopes)


def _terms(desk: ApiKeyDesk, record: ApiKeyRecord) -> Terms:
    return replace(desk.terms, bootstrap=may_bootstrap(desk, record))


def _wanted(desk: ApiKeyDesk, record: ApiKeyRecord) -> ApiKeyGrants:
    known = record.grants
    return ApiKeyGrants(
        known.name or desk.grants.name,
        known.scopes or desk.grants.scopes,
        known.dns_permissions or desk.grants.dns_permissions,
    )


def _due(desk: ApiKeyDesk, record: ApiKeyRecord) -> datetime | None:
    if desk.terms.every is None or record.phase is not Phase.IDLE:
        return None
    try:
        since = None if record.rolled_at else desk.place.read().since
    except PersonNeeded:
        return None  # every call of this account says so
    return due_at(record, desk.terms, since)


def _do(desk: ApiKeyDesk, terms: Terms, kept: Kept, step: Step, wish: Wish | None) -> Kept:
    match step:
        case Step.ROLL:
            return _roll(desk, terms, kept, wish)
        case Step.CREATE:
            return _create(desk, terms, kept)
        case Step.PROVE:
            return _prove(desk, terms, kept)
    return find_out(desk, terms, kept)


def _roll(desk: ApiKeyDesk, terms: Terms, kept: Kept, wish: Wish | None) -> Kept:
    try:
        held, key_id = _look_first(desk)
    except RotatorError as error:
        if wish or isinstance(error, VaultUnavailable):
            raise
        why = error
        return desk.store.change(kept, lambda record: unprepared(record, why, desk.clock.now()))
    call = _intent(desk, terms, held.mark, key_id, wish)
    kept = _begin(desk, kept, call, create=False)
    return _asked(desk, terms, kept, call, lambda: desk.hostup.roll(key_id, held.api_key))


def _look_first(desk: ApiKeyDesk) -> tuple[Held, str]:
    """See that a new key can be written down, and which one is replaced. Raises PersonNeeded, VaultError."""
    missing = desk.place.missing_rights()
    if missing:
        raise VaultDenied(
            f"the token lacks {', '.join(missing)} on {desk.place.shown}",
            operation="look first",
            path=desk.place.path,
            status=403,
            hint="Give the worker's policy these (`rotator vault policy`): no key is rolled before it can be written.",
        )
    held = desk.place.read()
    if held.key_id is None:
        hint = "Put the key's id at HostUp there (its panel shows it): a key is rolled by its id."
        raise PersonNeeded(f"the secret at {desk.place.shown} has no field key_id", hint=hint)
    return held, held.key_id


def _intent(desk: ApiKeyDesk, terms: Terms, mark: str, key_id: str | None, wish: Wish | None) -> Call:
    now = desk.clock.now()
    return Call(
        id=str(uuid.uuid4()),
        by=wish.by if wish else "",
        trigger="asked for" if wish else "schedule",
        started_at=now,
        old_key_id=key_id,
        old_mark=mark,
        holder=uuid.uuid4().hex,
        until=now + terms.lease,
        next_look=now,
    )


def _begin(desk: ApiKeyDesk, kept: Kept, call: Call, *, create: bool) -> Kept:
    """Put the intent on record. Raises Superseded where somebody else was first."""
    ground = kept.record.phase

    def change(record: ApiKeyRecord) -> ApiKeyRecord:
        if record.phase is not ground or (create and record.tried_create):
            raise Superseded("another one is at this API key already")
        return begun(record, call, create=create)

    return desk.store.change(kept, change)


def _asked(desk: ApiKeyDesk, terms: Terms, kept: Kept, call: Call, ask: Callable[[], NewApiKey]) -> Kept:
    """The one call, and what came of it."""
    try:
        new = ask()
    except HostUpUncertain as error:
        return _note(desk, kept, call, terms, error, sure=False)
    except HostUpError as error:
        # a key that HostUp does not know may have been replaced by an earlier call that was carried out late
        return _note(desk, kept, call, terms, error, sure=error.answer.status != HTTPStatus.UNAUTHORIZED)
    return _keep(desk, terms, kept, call, new)


def _note(desk: ApiKeyDesk, kept: Kept, call: Call, terms: Terms, error: HostUpError, *, sure: bool) -> Kept:
    now, note = desk.clock.now(), refused if sure else doubted
    return desk.store.change_until_written(kept, lambda record: note(record, call, error, terms, now))


def _keep(desk: ApiKeyDesk, terms: Terms, kept: Kept, call: Call, new: NewApiKey) -> Kept:
    """A key that is in hand is never dropped: it goes to its place, or beside the record, come what may."""
    for secret in (new.api_key, *new.others):
        desk.place.keep_secret(secret)
    if not new.sure:
        unsure = PersonNeeded(UNSURE, request_id=new.request_id, hint="It was kept, and is tried out.")
        until_written(lambda: desk.store.rescue(call.id, new), desk.clock, desk.account)
        return desk.store.change_until_written(
            kept, lambda record: doubted(record, call, unsure, terms, desk.clock.now(), soon=True)
        )
    if desk.place.put(call, new):
        now = desk.clock.now()
        return desk.store.change_until_written(kept, lambda record: placed(record, call, new, now, new.key_id))
    return _stray(desk, terms, kept, call, new)


def _stray(desk: ApiKeyDesk, terms: Terms, kept: Kept, call: Call, new: NewApiKey) -> Kept:
    """The key is beside the record, since another one stands in its place, or that cannot be written."""
    now = desk.clock.now()
    hint = f"It is tried again. See what keeps {desk.place.shown} from being written, or who has put another key there."
    why = PersonNeeded(NOT_PLACED, request_id=new.request_id, hint=hint)

    def change(record: ApiKeyRecord) -> ApiKeyRecord:
        facts = {"call": call.id, "by": call.by, "new_key_id": new.key_id, "error": why.what, "hint": hint}
        told = record.noting(Event.API_KEY_STRAY, now, new.request_id, **facts)
        return doubted(told, call, why, terms, now)

    return desk.store.change_until_written(kept, change)


def _create(desk: ApiKeyDesk, terms: Terms, kept: Kept) -> Kept:
    """Have the bootstrap key make another one: once for each loss."""
    lost, by = kept.record.call, desk.bootstrap()
    if lost is None or by is None:
        return desk.store.change(kept, lambda record: replace(record, tried_create=True))
    wanted = _wanted(desk, kept.record)
    call = replace(_intent(desk, terms, lost.old_mark, lost.old_key_id, None), trigger="lost", created=True)
    kept = _begin(desk, kept, call, create=True)
    return _asked(desk, terms, kept, call, lambda: desk.hostup.create(wanted, by))


def _prove(desk: ApiKeyDesk, terms: Terms, kept: Kept) -> Kept:
    """See that the key in Vault works."""
    held = desk.place.read()
    try:
        status = desk.hostup.prove(held.api_key)
    except HostUpError as error:
        why, no = error, is_refusal(error)
        return desk.store.change(kept, lambda record: unproven(record, why, terms, desk.clock.now(), refused=no))
    now = desk.clock.now()
    kept = desk.store.change(kept, lambda record: proven(record, held.key_id, now, status.request_id))
    desk.circuit.succeeded()
    return kept
