"""``[[account]]``: further accounts at HostUp, each with an API key of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StrictInt, ValidationError

from worker.settings.account_keys import KeySource, variable_of
from worker.settings.environment import WHERE, Need
from worker.settings.hostup import (
    API_KEY,
    BOOTSTRAP_KEY,
    AccountSettings,
    HostUpSettings,
    KeyAge,
    KeyScopes,
    StorageSettings,
)
from worker.settings.problems import Problems, entries_of, place_of_entry
from worker.settings.values import STRICT, Address, Name, Region, VaultPath, whole
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.target import Target


def _not_the_first(name: str) -> str:
    if name == DEFAULT_ACCOUNT:
        raise ValueError(f"{name} is the account of [hostup] and [storage]; give this one another name")
    return name


class AccountEntry(BaseModel):
    """One ``[[account]]``; what is left out is as in ``[hostup]`` and ``[storage]`` by default."""

    model_config = STRICT

    name: Annotated[Name, AfterValidator(_not_the_first), Field(description="what the account is called")]
    base_url: Address = HostUpSettings().base_url
    api_key_file: Path | None = None
    api_key_path: VaultPath | None = None
    api_key_every: KeyAge = None
    api_key_scopes: KeyScopes = None
    bootstrap_key_file: Path | None = None
    parallel_creates: Annotated[StrictInt, whole(1, 64)] = HostUpSettings().parallel_creates
    endpoint: Address | None = None
    region: Region | None = None


def read_accounts(file: str, raw: object, env: Mapping[str, str], problems: Problems) -> dict[str, AccountSettings]:
    """All accounts but the default one, by name; what is wrong is noted in ``problems``."""
    table = f"{file}: account"
    found: dict[str, AccountSettings] = {}
    taken = dict.fromkeys(_variables(DEFAULT_ACCOUNT), "[hostup]")
    for number, entry in enumerate(entries_of(raw, table, "each account", problems), 1):
        where = place_of_entry(table, number, entry)
        try:
            account = AccountEntry.model_validate(entry)
        except ValidationError as error:
            problems.note_invalid(error, partial("{}: {}".format, where), AccountEntry)
            continue
        problem = _taken(account.name, found, taken)
        if problem:
            problems.note(f"{where}: name", problem)
            continue
        taken |= dict.fromkeys(_variables(account.name), f"account {account.name}")
        found[account.name] = _settings(account, where, env, problems)
    return found


def names_in(raw: object) -> tuple[str, ...]:
    """The names of accounts that targets may name, also of those in which something else is wrong."""
    entries = raw if isinstance(raw, list) else []
    names = (entry.get("name") for entry in entries if isinstance(entry, dict))
    return (DEFAULT_ACCOUNT, *(name for name in names if isinstance(name, str)))


def all_accounts(
    first: AccountSettings, others: Mapping[str, AccountSettings], targets: object
) -> dict[str, AccountSettings]:
    """Those that there are, the default one first: it is there if it is the only one, if it is used, or has a key.

    ``targets`` are all that the file lists, whichever of them matter now.
    """
    listed = targets if isinstance(targets, list) else []
    named = [each.get("account", DEFAULT_ACCOUNT) for each in listed if isinstance(each, dict)]
    used = not others or first.hostup.has_api_key or DEFAULT_ACCOUNT in named
    return {**({DEFAULT_ACCOUNT: first} if used else {}), **others}


def check_api_keys(
    accounts: Mapping[str, AccountSettings], targets: Iterable[Target], needs: Need, problems: Problems
) -> None:
    """See that each account that a target belongs to has an API key, where keys are needed."""
    if Need.HOSTUP not in needs:
        return
    for name in dict.fromkeys(target.account for target in targets):
        account = accounts.get(name)
        if account and not account.hostup.has_api_key:
            variable = variable_of(name)
            others = "" if name == DEFAULT_ACCOUNT else f"; or api_key_file or api_key_path of account {name}"
            what = f"is missing; set it, or {variable}_FILE to a file that holds it{others}"
            problems.note(f"{WHERE}: {variable}", what)


def _variables(account: str) -> tuple[str, str]:
    return variable_of(account), f"{variable_of(account)}_FILE"


def _taken(name: str, found: Mapping[str, AccountSettings], taken: Mapping[str, str]) -> str:
    if name in found:
        return f"{name} is that of another account already; each needs its own"
    for variable in _variables(name):
        if variable in taken:
            return f"the variable of its API key would be {variable}, which is that of {taken[variable]}; rename it"
    return ""


def _settings(entry: AccountEntry, where: str, env: Mapping[str, str], problems: Problems) -> AccountSettings:
    instead = {"api_key_path": entry.api_key_path}
    api_key = KeySource(entry.name, API_KEY, "api_key_file", entry.api_key_file, instead).read(where, env, problems)
    source = KeySource(entry.name, BOOTSTRAP_KEY, "bootstrap_key_file", entry.bootstrap_key_file, {})
    bootstrap = source.read(where, env, problems)
    hostup = HostUpSettings(
        base_url=entry.base_url,
        api_key=api_key.value,
        api_key_file=api_key.file,
        api_key_path=entry.api_key_path,
        api_key_every=entry.api_key_every,
        api_key_scopes=entry.api_key_scopes,
        bootstrap_key=bootstrap.value,
        bootstrap_key_file=bootstrap.file,
        parallel_creates=entry.parallel_creates,
    )
    storage = StorageSettings(endpoint=entry.endpoint, region=entry.region)
    return AccountSettings(entry.name, hostup, storage, api_key.place, bootstrap.place)
