"""``rotator roll-api-key``: has HostUp replace the worker's own API key, and settles one that was lost."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from worker.cli.asking import agreed
from worker.cli.options import Options
from worker.cli.output import print_facts, result, say
from worker.cli.texts import when
from worker.cli.who import asker
from worker.errors import UsageError
from worker.events import Event
from worker.rotation.api_key.desk import ApiKeyDesk
from worker.rotation.api_key.record import ApiKeyRecord, Phase
from worker.rotation.api_key.tend import Wish, settle, tend
from worker.service.assemble import Runtime
from worker.settings.account_keys import variable_of
from worker.settings.environment import Need
from worker.settings.problems import did_you_mean
from worker.targets.account import DEFAULT_ACCOUNT, hostup_table

TRY_LATER = 75
IN_VAULT = (
    "Write it to a path of its own in Vault (fields api_key, and key_id as HostUp's panel shows it), set api_key_path "
    "under {table}, give the worker the right (`rotator vault policy`), and take it out of {variable} and its file."
)
_OUTCOMES = {Phase.LOST: "lost", Phase.PLACED: "not proven", Phase.IDLE: "failed"}


def roll_api_key(options: Options, account: str | None, *, settled: bool, yes: bool, by: str) -> int:
    """Roll the API key of an account, or with ``settled`` prove the one in Vault and go on with it.

    Raises UsageError where it does not lie in Vault, PersonNeeded, HostUpError, VaultError.
    """
    who = asker(by)
    runtime = options.runtime(Need.HOSTUP | Need.VAULT)
    desk = desk_of(runtime, account or DEFAULT_ACCOUNT)
    began = runtime.clock.now()
    if settled:
        record = settle(desk, who)
    elif yes or _is_meant(desk, began):
        record = tend(desk, Wish(who))
    else:
        return 1
    outcome = _outcome(record, began, settled=settled)
    if record.trouble:
        say(f"{record.trouble.what}. {record.trouble.hint}")
    document = _document(record, outcome)
    result(options, document, lambda: print_facts([(name, _text(value)) for name, value in document.items()]))
    if outcome in ("rolled", "settled"):
        return 0
    return 1 if record.needs_person or outcome == "failed" else TRY_LATER


def desk_of(runtime: Runtime, account: str) -> ApiKeyDesk:
    """What rolls the key of an account. Raises UsageError."""
    accounts = runtime.settings.accounts
    if account not in accounts:
        hint = f"{did_you_mean(account, accounts)}There are: {', '.join(accounts)}."
        raise UsageError(f"there is no account {account[:64]!r}", hint=hint[:1].upper() + hint[1:])
    desk = runtime.desks.get(account)
    if desk is None:
        what = f"the API key of the account {account} comes from a file or the environment, where nobody can replace it"
        raise UsageError(what, hint=IN_VAULT.format(table=hostup_table(account), variable=variable_of(account)))
    return desk


def _is_meant(desk: ApiKeyDesk, now: datetime) -> bool:
    """Show what will be done, and ask. Raises UsageError where nobody can be asked."""
    held, record = desk.place.read(), desk.store.load().record
    rolled = f", in use since {when(record.rolled_at.isoformat(), now)}" if record.rolled_at else ""
    say(f"HostUp replaces the API key {held.key_id or '(id not known)'} of the account {desk.account}{rolled}.")
    say(f"The new one goes to {desk.place.shown}; workers use it within seconds. HostUp takes the old one no longer:")
    say("whatever else uses it, other than from there, fails.")
    return agreed("Roll it?")


def _outcome(record: ApiKeyRecord, began: datetime, *, settled: bool) -> str:
    if settled:
        return "settled"
    if record.phase is Phase.IDLE and not record.trouble and record.rolled_at and record.rolled_at >= began:
        return "rolled"
    return _OUTCOMES.get(record.phase, "in doubt")


def _document(record: ApiKeyRecord, outcome: str) -> dict[str, Any]:
    """What came of it, in JSON's own types; never a key."""
    done = (Event.API_KEY_ROLLED, Event.API_KEY_SETTLED) if outcome in ("rolled", "settled") else ()
    last = next((entry for entry in record.history.newest_first() if entry.event in done), None)
    call, trouble = record.call, record.trouble
    return {
        "account": record.account,
        "outcome": outcome,
        "key_id": record.key_id,
        "previous_key_id": last.facts.get("old_key_id") if last else (call.old_key_id if call else None),
        "request_id": last.request_id if last else (call.request_id if call else None),
        "rolled_at": record.rolled_at.isoformat(timespec="milliseconds") if record.rolled_at else None,
        "by": last.facts.get("by") if last else (call.by if call else None),
        "scopes": list(record.grants.scopes) if record.grants.scopes is not None else None,
        "retry_at": trouble.retry_at.isoformat(timespec="seconds") if trouble and trouble.retry_at else None,
    }


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")
