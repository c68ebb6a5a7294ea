"""Where the worker's own API key comes from, how it stands with its roll, and what it was seen to be allowed."""

from __future__ import annotations

from collections.abc import Iterator

from worker.cli.texts import when
from worker.cli.verdicts import Verdict, failed
from worker.clock import Clock
from worker.errors import RotatorError
from worker.rotation.api_key.decide import due_at
from worker.rotation.api_key.desk import ApiKeyDesk
from worker.rotation.api_key.record import ApiKeyRecord
from worker.rotation.api_key.tend import may_bootstrap
from worker.service.assemble import Runtime
from worker.targets.account import account_word, hostup_table

UNTRIED = (
    "a check does not try to create or delete access keys, or to roll the API key. HostUp does not document which "
    "scopes these need; a refusal (403) is told with its requestId"
)
NO_SCOPES = "it would not be used: nobody knows yet which scopes a key is to have that it makes"


def look(runtime: Runtime, account: str) -> Iterator[Verdict]:
    """What is proven of an account's key and what is not; whether it can be rolled; and what went wrong with that."""
    desk = runtime.desks.get(account)
    if desk is None:
        yield Verdict("API key", "ok", f"from a file or the environment; it is not rolled. {_sentence(UNTRIED)}")
        return
    try:
        held, record = desk.place.read(), desk.store.load().record
    except RotatorError as error:
        yield failed("API key", error)
        return
    if record.trouble:
        state = "failed" if record.needs_person else "warning"
        yield Verdict("API key", "failed" if state == "failed" else "warning", record.trouble.what, record.trouble.hint)
    if held.key_id is None:
        hint = "Put the key's id there (HostUp's panel shows it), and keep it with the key: it is rolled by its id."
        yield Verdict("API key", "warning", f"{desk.place.shown} has no field key_id: it cannot be rolled", hint)
    elif not record.trouble:
        yield Verdict("API key", "ok", f"{held.key_id} at {desk.place.shown}; {_next(desk, record, desk.clock)}")
    if desk.terms.bootstrap and not may_bootstrap(desk, record):
        hint = (
            f"Set api_key_scopes under {hostup_table(account)}, or roll the key once: HostUp tells its scopes with it."
        )
        yield Verdict("bootstrap key", "warning", NO_SCOPES, hint)
    yield Verdict("API key rights", "ok", f"{_scopes(record)}; {UNTRIED}")


def _next(desk: ApiKeyDesk, record: ApiKeyRecord, clock: Clock) -> str:
    held = desk.place.read()
    due = due_at(record, desk.terms, held.since)
    return (
        f"rolled next {when(due.isoformat(), clock.now())}"
        if due
        else f"rolled when asked for (`rotator roll-api-key{account_word(desk.account)}`)"
    )


def _scopes(record: ApiKeyRecord) -> str:
    scopes = record.grants.scopes
    if scopes is None:
        return "its scopes are not known before its first roll"
    return f"its scopes, as HostUp told with it: {', '.join(scopes) or 'none'}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
