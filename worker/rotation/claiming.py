"""Every key on record gets its document, and a key on two records is told of in it.

A new key gets its document before it goes on record. Keys of a release before have none, nor have those whose document
Vault did not take or a person removed: such a key may have been given to another target since, which then has a
document. So before anything is deleted by those documents, every record is looked at once.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

import structlog

from worker.errors import Conflict, VaultDenied
from worker.events import Event
from worker.rotation.claims import Owner
from worker.rotation.copy_access import published_of
from worker.rotation.record import Record
from worker.rotation.services import Services
from worker.rotation.survey import Progress, Survey, read_all, survey

_log = structlog.get_logger(__name__)


def holders(records: Mapping[str, Record]) -> dict[str, tuple[str, ...]]:
    """The targets on whose records each access key is that is on more than one."""
    found: dict[str, list[str]] = {}
    for name, record in sorted(records.items()):
        for access_key in record.keys_on_record():
            found.setdefault(access_key, []).append(name)
    return {access_key: tuple(names) for access_key, names in found.items() if len(names) > 1}


def claim_all(services: Services, seen: Survey) -> None:
    """Have every key on these records have its document. Raises VaultError.

    Where a record could not be read, that is not known of every key. Where Vault does not allow it, it is only told.
    """
    claims, shared = services.store.claims, holders(seen.records)
    owners = dict(pair for record in seen.records.values() for pair in _owners(record))

    def claim(access_key: str) -> None:
        claims.claim_on_record(access_key, owners[access_key], shared.get(access_key, ()))

    try:
        for _ in read_all(list(owners), claim, None):
            pass
        if not seen.unreadable:
            claims.note_complete(services.clock.now())
    except VaultDenied as error:
        _log.warning(Event.KEY_UNCLAIMED, **error.fields())


def living_keys(services: Services, apart_from: Collection[str], progress: Progress | None = None) -> dict[str, Owner]:
    """The access keys that were made and not seen dead, by their documents: one is read for each key ever made.

    Raises VaultError.
    """
    claims = services.store.claims
    names = sorted(set(claims.names()) - set(apart_from))
    return dict(found for _, found in read_all(names, claims.living, progress) if found and found[0] not in apart_from)


def others_that_need(services: Services, access_key: str, target: str) -> tuple[str, ...]:
    """The other targets that a key is on record for, so that it must not be deleted for this one.

    Raises Conflict where that cannot be found out, VaultError, RecordError.
    """
    claims = services.store.claims
    owner = claims.owner(access_key)
    known = frozenset((owner.target, *owner.also)) if owner else frozenset[str]()
    if owner is None or not claims.are_complete():
        known |= _look_at_every_record(services, access_key, target)
        owner = claims.owner(access_key)
        known |= frozenset((owner.target, *owner.also)) if owner else frozenset()
    others = sorted(known - {target})
    if target in known and len(known) > 1:
        now = services.clock.now()
        return tuple(name for name in others if _needs(services, name, access_key, now))
    return tuple(others)


def _look_at_every_record(services: Services, access_key: str, target: str) -> frozenset[str]:
    seen = survey(services, {})
    claim_all(services, seen)
    names = [name for name in seen.unreadable if _may_hold(services, name, access_key)]
    if names:
        raise Conflict(
            f"access key {access_key} was to be deleted, and may be a key of {', '.join(names)}, whose record cannot "
            "be read",
            target=target,
            hint=f"It is not deleted before that is known: see `rotator repair {names[0]}`.",
        )
    return frozenset(holders(seen.records).get(access_key, ()))


def _may_hold(services: Services, target: str, access_key: str) -> bool:
    """Whether a key stands anywhere in a record that cannot be read; True where nothing of that is left to read."""
    document = services.vault.read(services.store.path(target)).data
    return document is None or access_key in json.dumps(document)


def _needs(services: Services, target: str, access_key: str, now: datetime) -> bool:
    """Whether apps of a target may use the key: while it is current or on its way there, in its grace, and published.

    What is only left to be deleted of it may be deleted for another target as well.
    """
    record = services.store.load(target, "").record
    over = any(key.access_key == access_key and key.retire_after <= now for key in record.retiring)
    return access_key in (published_of(services, record) if over else record.keys_on_record())


def _owners(record: Record) -> Iterator[tuple[str, Owner]]:
    current, rotation = record.current, record.rotation
    if current:
        yield current.access_key, Owner(record.target, current.rotation_id, current.account)
    if rotation and rotation.key:
        yield rotation.key.access_key, Owner(record.target, rotation.id, rotation.account)
    for key in record.retiring:
        yield key.access_key, Owner(record.target, key.rotation_id, key.account)
