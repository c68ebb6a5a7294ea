"""Whether HostUp counts fewer keys after a delete that it confirmed.

Other workers make and delete keys at the same time. Their deletes can only hide that the count did not fall, so they do
no harm; where one of them makes a key meanwhile, nothing can be concluded, and HostUp is not even asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from worker.rotation.ports import AccountPort


@dataclass(frozen=True, slots=True)
class Count:
    """How many keys there were, and the mark of :meth:`AccountPort.quiet` at that moment."""

    keys: int
    mark: int


def count_before(account: AccountPort) -> Count | None:
    """What the count after a delete is compared with; None when nothing could be concluded from it."""
    mark = account.quiet()
    keys = None if mark is None else account.key_count()
    return None if mark is None or keys is None else Count(keys, mark)


def undiminished(account: AccountPort, before: Count) -> int | None:
    """The count after the delete, where it should be lower and is not; None where it is, or nobody can tell."""
    if account.quiet() != before.mark:
        return None
    keys = account.key_count()
    if keys is None or keys < before.keys or account.quiet() != before.mark:
        return None
    return keys
