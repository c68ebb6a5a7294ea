"""All records at about one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from worker.errors import RecordError, VaultUnavailable
from worker.rotation.record import Phase, Record
from worker.rotation.services import Services
from worker.targets.target import Target

READERS = 8
"""Threads that read records; what Vault gives to one hvac client levels off there (docs/facts.md, "Vault")."""

PAUSE_SECONDS = 1.0

Progress = Callable[[int, int], None]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Survey:
    """All records at about one moment; ``unreadable`` names those that could not be used, with the reason."""

    records: Mapping[str, Record]
    unreadable: Mapping[str, RecordError]

    def living(self, account: str) -> int:
        """How many of an account's keys the records answer for."""
        return sum(living(record, account) for record in self.records.values())

    def adopted(self, account: str) -> int:
        """How many foreign keys of an account were taken over by name, less those that were left to a person."""
        return sum(record.adopted_at(account) - record.released_at(account) for record in self.records.values())

    def creating(self, account: str) -> bool:
        """Whether a create is under way on an account, so that a count cannot be compared."""
        rotations = (record.rotation for record in self.records.values())
        return any(each.phase is Phase.CREATING and each.account == account for each in rotations if each)

    def witnesses(self) -> dict[str, str]:
        """For each account that has one, a key that should live: the current one of some target."""
        current = (record.current for record in self.records.values())
        return {key.account: key.access_key for key in current if key}


def survey(services: Services, targets: Mapping[str, Target], progress: Progress | None = None) -> Survey:
    """Read every record there is: of the configured targets, and of those that no longer are. Raises VaultError."""
    found: dict[str, Record | RecordError] = {}
    read_records(services, targets, _as_it_is, found, progress)
    names = sorted(found)
    return Survey(
        {name: record for name in names if isinstance(record := found[name], Record)},
        {name: error for name in names if isinstance(error := found[name], RecordError)},
    )


def read_records(
    services: Services,
    targets: Mapping[str, Target],
    use: Callable[[Record | RecordError], T],
    found: dict[str, T],
    progress: Progress | None = None,
) -> None:
    """Put what ``use`` makes of every record into ``found``; what is in it already is not read again.

    Where Vault cannot be used for a while (a rate limit quota, an outage), it goes on where it stopped, as long as it
    gets anywhere. Raises VaultError; what was read until then is in ``found``.
    """
    names = sorted(set(targets) | set(services.store.targets()))

    def read(name: str) -> None:
        if name not in found:
            found[name] = use(_read(services, targets.get(name), name))

    while True:
        known = len(found)
        try:
            for _ in read_all(names, read, progress):
                pass
        except VaultUnavailable:
            if len(found) == known or services.clock.wait(PAUSE_SECONDS):
                raise
        else:
            return


def _as_it_is(record: Record | RecordError) -> Record | RecordError:
    return record


def _read(services: Services, target: Target | None, name: str) -> Record | RecordError:
    try:
        loaded = services.store.open(target) if target else services.store.load(name, "")
    except RecordError as error:
        return error
    return loaded.record


def read_all(names: Sequence[str], read: Callable[[str], T], progress: Progress | None) -> Iterator[tuple[str, T]]:
    """Each name with what ``read`` makes of it, several at a time; raises what that raises."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as pool:
        for done, (name, found) in enumerate(zip(names, pool.map(read, names), strict=True), start=1):
            yield name, found
            if progress:
                progress(done, len(names))


def living(record: Record, account: str) -> int:
    """How many of an account's keys a record answers for."""
    rotation, current = record.rotation, record.current
    held = [current.account] if current else []
    held += [rotation.account] if rotation and rotation.key else []
    held += [key.account for key in record.retiring if not key.deleted_at]
    return held.count(account)
