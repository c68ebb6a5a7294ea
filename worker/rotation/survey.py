"""All records at about one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from worker.errors import RecordError
from worker.rotation.record import Phase, Record
from worker.rotation.services import Services
from worker.targets.target import Target

READERS = 8
"""Threads that read records; what Vault gives to one hvac client levels off there (docs/facts.md, "Vault")."""

Progress = Callable[[int, int], None]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Survey:
    """All records at about one moment; ``unreadable`` names those that could not be used, with the reason."""

    records: Mapping[str, Record]
    unreadable: Mapping[str, RecordError]

    @property
    def living(self) -> int:
        """How many of HostUp's keys the records answer for."""
        return sum(_living(record) for record in self.records.values())

    @property
    def adopted(self) -> int:
        """How many foreign keys were taken over by name, less those that were left to a person."""
        return sum(record.adopted - record.released for record in self.records.values())

    @property
    def creating(self) -> bool:
        """Whether a create is under way, so that a count cannot be compared."""
        return any(record.phase is Phase.CREATING for record in self.records.values())


def survey(services: Services, targets: Mapping[str, Target], progress: Progress | None = None) -> Survey:
    """Read every record there is: of the configured targets, and of those that no longer are. Raises VaultError."""
    names = sorted(set(targets) | set(services.store.targets()))
    records: dict[str, Record] = {}
    unreadable: dict[str, RecordError] = {}

    def read(name: str) -> Record | RecordError:
        target = targets.get(name)
        try:
            loaded = services.store.open(target) if target else services.store.load(name, "")
        except RecordError as error:
            return error
        return loaded.record

    for name, found in read_all(names, read, progress):
        if isinstance(found, RecordError):
            unreadable[name] = found
        else:
            records[name] = found
    return Survey(records, unreadable)


def read_all(names: Sequence[str], read: Callable[[str], T], progress: Progress | None) -> Iterator[tuple[str, T]]:
    """Each name with what ``read`` makes of it, several at a time; raises what that raises."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as pool:
        for done, (name, found) in enumerate(zip(names, pool.map(read, names), strict=True), start=1):
            yield name, found
            if progress:
                progress(done, len(names))


def _living(record: Record) -> int:
    deleted = sum(1 for key in record.retiring if key.deleted_at)
    return sum(1 for _ in record.keys_on_record()) - deleted
