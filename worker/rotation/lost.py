"""Keys that are on no record, and that something else remembers: after Vault was set back, or a record was lost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from worker.errors import AccountGone
from worker.rotation.claims import Owner
from worker.rotation.findings import AuditFinding
from worker.rotation.observe import life_of
from worker.rotation.ports import Life
from worker.rotation.record import Record
from worker.rotation.services import Services
from worker.rotation.survey import Survey
from worker.targets.target import Target

_MAY_BE_A_KEY = re.compile(r"[A-Za-z0-9]{3,128}")


@dataclass(frozen=True, slots=True)
class Remembered:
    """A key that may live: of which target, on which account, and what names it."""

    access_key: str
    target: str
    account: str
    by: str


def of_lost_keys(
    services: Services,
    seen: Survey,
    targets: Mapping[str, Target],
    ids: Mapping[str, Sequence[str]],
    documents: Mapping[str, Owner],
) -> Iterator[AuditFinding]:
    """Keys that live and are on no record.

    ``ids`` are those that Redis knows of targets, of any kind: the object storage tells which of them are keys.
    ``documents`` are whose keys are, by their own documents.
    """
    witnesses = seen.witnesses()
    for each in _remembered(seen, targets, ids, documents):
        try:
            storage = services.at(each.account).storage
        except AccountGone:
            continue  # a finding of its own
        life = life_of(storage, each.access_key, witnesses.get(each.account))
        if life is not Life.DEAD:
            state = "lives" if life is Life.ALIVE else "may live"
            what = f"access key {each.access_key} {state}, and is on no record: {each.by} names it"
            hint = (
                "It was made since the snapshot that Vault was set back to, or its record was lost. To have it deleted "
                f"after the grace period: `rotator settle {each.target} --revoke {each.access_key}`."
            )
            yield AuditFinding("lost", each.target, what, hint, each.account)


def _remembered(
    seen: Survey, targets: Mapping[str, Target], ids: Mapping[str, Sequence[str]], documents: Mapping[str, Owner]
) -> Iterator[Remembered]:
    on_record = {key for record in seen.records.values() for key in record.keys_on_record()}
    told = set(on_record)
    for access_key, owner in documents.items():
        if access_key not in told:
            told.add(access_key)
            yield Remembered(access_key, owner.target, owner.account, "its document in Vault")
    for name, record in seen.records.items():
        for each in _unknown(record, ids.get(name, ())) if name in targets else ():
            if each not in told:
                told.add(each)
                yield Remembered(each, name, targets[name].account, "Redis")


def _unknown(record: Record, ids: Sequence[str]) -> Iterator[str]:
    """What may be a key by its form, and is not in what the record knows."""
    may_be_keys = [each for each in ids if _MAY_BE_A_KEY.fullmatch(each)]
    texts = record.history.texts() if may_be_keys else ()
    return (each for each in may_be_keys if not any(each in text for text in texts))
