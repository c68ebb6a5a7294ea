"""Whose a key is: what a person names is looked for in every record before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping

from worker.cli.output import progress
from worker.errors import UsageError
from worker.rotation.claims import Owner
from worker.rotation.services import Services
from worker.rotation.survey import Survey, survey
from worker.targets.target import Target


def see_that_nobody_uses(
    services: Services, targets: Mapping[str, Target], access_key: str, *, apart_from: str | None = None
) -> None:
    """Raises UsageError when the key is on record, or published for a target whose record cannot be read."""
    owner = owners(services, targets, apart_from=apart_from).get(access_key)
    if owner is not None:
        raise in_use(access_key, owner)


def claim(services: Services, access_key: str, whose: Owner) -> None:
    """Have a key that a person named be a target's, before it goes on record: as with a key that HostUp hands over.

    Raises UsageError when it is another target's, also one whose record does not name it (any more); VaultError.
    """
    owner = services.store.claims.claim(access_key, whose)
    if owner is not None and owner.target != whose.target:
        raise was_made_for(access_key, owner.target)


def was_made_for(access_key: str, owner: str) -> UsageError:
    """What to say when the key is another target's by its own document."""
    return UsageError(
        f"access key {access_key} was made for target {owner}",
        hint=f"Nothing was changed. See `rotator trace {access_key}`: is it the key that you mean?",
    )


def in_use(access_key: str, owner: str) -> UsageError:
    """What to say when it is."""
    return UsageError(
        f"access key {access_key} is in use by target {owner}",
        hint=f"Nothing was changed. See `rotator status {owner}`.",
    )


def owners(services: Services, targets: Mapping[str, Target], *, apart_from: str | None = None) -> dict[str, str]:
    """Every access key that a target answers for, with that target. Raises VaultError."""
    return owners_in(seen_by_all(services, targets), services, targets, apart_from=apart_from)


def seen_by_all(services: Services, targets: Mapping[str, Target]) -> Survey:
    """Every record. Raises VaultError."""
    return survey(services, targets, progress("looking for the key in all records"))


def owners_in(
    seen: Survey, services: Services, targets: Mapping[str, Target], *, apart_from: str | None = None
) -> dict[str, str]:
    """The same by records that were read already. Raises VaultError."""
    found = {
        key: name for name, record in seen.records.items() if name != apart_from for key in record.keys_on_record()
    }
    for name in seen.unreadable:
        if name != apart_from and name in targets:
            secret = services.vault.read(targets[name].path).data or {}
            published = targets[name].fields.read(secret, "access_key")
            if published:
                found[published] = name
    return found
