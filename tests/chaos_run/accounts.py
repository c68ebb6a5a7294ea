"""The two accounts of a chaos run, and whether each key lived and died in its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from worker.sandbox.simulator.controls import SimulatorAdmin
from worker.selftest.checker import BrokenPromise
from worker.selftest.evidence import Evidence, Json
from worker.targets.account import DEFAULT_ACCOUNT

SECOND = "second"
ACCOUNTS = (DEFAULT_ACCOUNT, SECOND)

_THIRD = 3
_FAR_APART = 10_000_000
"""The calls of each account have numbers of their own, once they stand in one ledger."""


def account_of(target: str) -> str:
    """A third of the targets belongs to the second account."""
    return SECOND if int(target.rpartition("-")[2]) % _THIRD == _THIRD - 1 else DEFAULT_ACCOUNT


def variable_of(account: str) -> str:
    """Where the API key of an account stands in the environment, if it does not lie in Vault."""
    return f"HOSTUP_API_KEY_{account.upper()}"


def entries_of(admins: Mapping[str, SimulatorAdmin]) -> Iterator[Json]:
    """The ledgers of all accounts as one, each entry with its ``account``."""
    for number, (account, admin) in enumerate(admins.items()):
        for entry in admin.ledger():
            call = {} if entry.get("call") is None else {"call": entry["call"] + number * _FAR_APART}
            yield {**entry, **call, "account": account}


def made_at(evidence: Evidence) -> dict[str, str]:
    """The account of each key that was made, by its name; also of those that were made by hand."""
    made = (each for each in evidence.entries if each["kind"] == "effect" and each["operation"] == "create")
    return {str(each["access_key"]): str(each["account"]) for each in made}


def judge_accounts(evidence: Evidence) -> Iterator[BrokenPromise]:
    """Keys of each target are made at its account only; none is asked for, or on record, as another account's."""
    home = made_at(evidence)
    for entry in evidence.entries:
        at = str(entry.get("account"))
        if entry["kind"] != "call":
            continue
        if entry["operation"] == "create" and account_of(str(entry["label"]).split()[0]) != at:
            yield BrokenPromise(2, str(entry["label"]), f"was asked for at the account {at}, which is not its target's")
        key = str(entry.get("access_key"))
        if entry["operation"] == "delete" and home.get(key, at) != at:
            yield BrokenPromise(2, key, f"was to be deleted at the account {at}; it was made at {home[key]}")
    for kept in evidence.kept:
        for key, at in _on_record(kept.record or {}):
            if home.get(key, at) != at:
                yield BrokenPromise(3, key, f"is on record as of the account {at}; it was made at {home[key]}")


def _on_record(record: Json) -> Iterator[tuple[str, str]]:
    rotation = record.get("rotation") or {}
    staged = rotation.get("key")
    for place in (record.get("current"), *record.get("retiring", [])):
        if place:
            yield str(place["access_key"]), str(place.get("account", DEFAULT_ACCOUNT))
    if staged:
        yield str(staged["access_key"]), str(rotation.get("account", DEFAULT_ACCOUNT))


Outage = tuple[str, datetime, datetime]
"""An account that was wholly down, from when to when."""


def made_meanwhile(entries: Iterable[Json], account: str, since: datetime, until: datetime) -> int:
    """How many keys calls made at the other accounts in a span of time."""
    return sum(since <= at <= until for at in _made_elsewhere(entries, account))


def pace_meanwhile(entries: Sequence[Json], outages: Iterable[Outage]) -> float:
    """At which pace keys were made while the other account was down; 1 is that of the run as a whole.

    Over all outages together: one may be short, and Vault or Redis may be away just then.
    """
    made = usual = 0.0
    for account, since, until in outages:
        moments = list(_made_elsewhere(entries, account))
        made += sum(since <= at <= until for at in moments)
        whole = (max(moments) - min(moments)).total_seconds() if moments else 0.0
        usual += len(moments) * (until - since).total_seconds() / whole if whole else 0.0
    return made / usual if usual else 1.0


def _made_elsewhere(entries: Iterable[Json], account: str) -> Iterator[datetime]:
    for each in entries:
        if each["kind"] == "effect" and each["operation"] == "create" and "call" in each and each["account"] != account:
            yield datetime.fromisoformat(str(each["at"]))
