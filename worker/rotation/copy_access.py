"""Copies of an app's secret, where ``also`` of a target wants them: how they are reached, and whose they are.

Another Vault may be away, or may not let us in, while the one with the records works. So what goes wrong with a copy is
:class:`worker.errors.CopyFailed`, which is recorded like any other failure, and no other target waits for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from worker.errors import Conflict, CopyAway, CopyFailed, VaultCasMismatch, VaultError, VaultUnavailable
from worker.rotation.ports import Document, VaultPort
from worker.rotation.record import Record
from worker.rotation.services import Services
from worker.targets.location import HOME, Location, location
from worker.targets.target import Target


@contextmanager
def vault_of(services: Services, copy: Location) -> Iterator[VaultPort]:
    """The Vault of a copy, for calls about it.

    One that was away is not asked again for the time of a tick: each call could take as long as a call may, and other
    targets wait for the thread. Raises CopyFailed (CopyAway), VaultCasMismatch;
    VaultUnavailable where the records are away, too.
    """
    destination = services.destination(copy.destination)
    if destination is None:
        gone = VaultError("there is no such destination", hint="Configure it, or take the copy out of `also`.")
        raise CopyFailed(copy.name, gone)
    _see_that_it_may_be_asked(services, copy)
    try:
        yield destination.vault
    except VaultCasMismatch:
        raise
    except VaultUnavailable as error:
        if copy.destination == HOME:
            raise
        services.vault_away.seen(services.clock.now(), copy.destination)
        raise CopyAway(copy.name, error) from error
    except CopyFailed:
        raise
    except VaultError as error:
        raise CopyFailed(copy.name, error) from error


def _see_that_it_may_be_asked(services: Services, copy: Location) -> None:
    away = services.vault_away.elsewhere.get(copy.destination)
    if away and timedelta(0) <= services.clock.now() - away < services.policy.tick:
        what = f"its Vault was away at {away.isoformat(timespec='seconds')}, and is not asked again so soon"
        raise CopyAway(copy.name, VaultUnavailable(what, hint="It is tried again by itself."))


def stands_in(services: Services, record: Record) -> tuple[Location, ...]:
    """Where copies lie by a record alone, as far as their destinations are configured."""
    current, rotation = record.current, record.rotation
    known = [*(current.copies if current else ()), *(rotation.copies if rotation else ())]
    known += [copy for key in record.retiring for copy in key.copies]
    found = dict.fromkeys(location(copy.location) for copy in known)
    return tuple(copy for copy in found if services.destination(copy.destination))


def published_of(services: Services, record: Record) -> frozenset[str]:
    """Which keys of a record stand in the app's secret or its copies, by whatever name: the names are known no more.

    A copy whose destination is not configured any more is left alone. Raises VaultError.
    """
    found = [services.vault.read(record.path).data or {}]
    for copy in stands_in(services, record):
        with vault_of(services, copy) as vault:
            found.append(vault.read(copy.path).data or {})
    values = [str(value) for data in found for value in data.values()]
    return frozenset(key for key in record.keys_on_record() if any(key in value for value in values))


def see_that_it_may_be_replaced(
    services: Services, target: Target, record: Record, copy: Location, document: Document
) -> None:
    """What stands there is of this target by its key, or nothing does. Raises Conflict, VaultError.

    An older key of ours may stand there: of a copy that was taken out of ``also`` once, or that somebody set back.
    """
    if document.data is None:
        return
    access_key = target.fields.read(document.data, "access_key")
    current = record.current
    if access_key and current and access_key == current.access_key:
        return
    if access_key and target.fields.read(document.data, "rotation_id"):
        owner = services.store.claims.owner(access_key)
        if owner and owner.target == target.name:
            return
    raise Conflict(
        f"the copy at {copy.name}: Vault holds version {document.version} there, which this project did not write",
        target=target.name,
        location=copy.name,
        hint="It is never overwritten. Delete it there (`vault kv delete`) if it may be replaced, or take the copy out "
        "of `also`.",
    )
