"""How many keys of an account are foreign: noted once for each, in an account document beside the records.

``keyCount`` is the one way to see keys that nobody has on record (page "Service status"). Keys that were there before
the worker came are foreign; their number is what the audit compares later counts with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from worker.errors import RecordError, VaultCasMismatch
from worker.rotation.ports import Document
from worker.rotation.record import Record
from worker.rotation.services import Services
from worker.rotation.survey import Progress, living, read_records
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.target import Target

PASSES = 3


@dataclass(slots=True)
class Counting:
    """How far counting has come. Handed in again after an error, it goes on where it stopped.

    ``own`` says of each record that was read how many of HostUp's keys it answers for; ``before`` is ``keyCount``
    before the first of them was read.
    """

    before: int | None = None
    own: dict[str, int] = field(default_factory=dict)


def foreign_of(services: Services, account: str = DEFAULT_ACCOUNT) -> int | None:
    """The number that was noted; None when none was. Raises RecordDeleted where the note was deleted, VaultError."""
    return _foreign_in(services.store.account(account))


def ensure_baseline(
    services: Services,
    targets: Mapping[str, Target],
    counting: Counting | None = None,
    progress: Progress | None = None,
    account: str = DEFAULT_ACCOUNT,
) -> int | None:
    """Record how many keys are foreign, where that is not noted yet; otherwise only return that number.

    None when HostUp does not say how many keys there are: then a later look records it. Raises RecordDeleted where
    the number was noted and then deleted, VaultError.
    """
    document = services.store.account(account)
    known = _foreign_in(document)
    if known is not None:
        return known
    counting = counting or Counting()
    count = _count(services, targets, counting, progress, account)
    if count is None:
        return None
    foreign = max(0, count - sum(counting.own.values()))
    try:
        note_foreign(services, foreign, count, document.version, account)
    except VaultCasMismatch:
        return foreign_of(services, account)
    return foreign


def note_foreign(
    services: Services, foreign: int, key_count: int | None, cas: int, account: str = DEFAULT_ACCOUNT
) -> None:
    """Write down how many keys of an account are not this project's."""
    noted = {"foreign": foreign, "key_count": key_count, "noted_at": services.clock.now().isoformat()}
    services.vault.write(services.store.account_path(account), noted, cas)


def _count(
    services: Services, targets: Mapping[str, Target], counting: Counting, progress: Progress | None, account: str
) -> int | None:
    """Count, read every record, and count again: until nothing was made or deleted meanwhile, or a few times."""
    counted, own = services.at(account).account, partial(_own, account=account)
    for _ in range(PASSES):
        if counting.before is None:
            counting.before = counted.key_count()
        if counting.before is None:
            return None
        read_records(services, targets, own, counting.own, progress)
        after = counted.key_count()
        if after in (None, counting.before):
            break
        counting.before = after
        counting.own.clear()
    else:
        read_records(services, targets, own, counting.own, progress)
    return after


def _own(record: Record | RecordError, account: str) -> int:
    """How many of an account's keys a record answers for. What was adopted was foreign before."""
    return 0 if isinstance(record, RecordError) else living(record, account) - record.adopted_at(account)


def _foreign_in(document: Document) -> int | None:
    foreign = (document.data or {}).get("foreign")
    return foreign if isinstance(foreign, int) else None
