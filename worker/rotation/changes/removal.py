"""How a record ends whose target was removed from the configuration, by a person's word. Pure.

All of it is one change: what was current is released to the person or retires, and what is left is a record without a
current key. What retires is still deleted and proven dead, and the history stays, so that a trace finds every key.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.errors import TryAgainLater, UsageError
from worker.events import Event
from worker.rotation.changes.rotation import DAY, note, replaced, to_retire
from worker.rotation.record import CurrentKey, Phase, Record, Rotation, StagedKey, Why, one_more_released

PREVIOUS_WORKS_FOR: timedelta = DAY
"""Of a rotation that ended in the middle: apps may hold the key from before, and their grace is not known any more."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What a person wants; ``published`` are the record's keys that stand in the app's secret.

    ``revoke``: delete also the key that apps read, which is the one that was ``shown`` to the person.
    """

    revoke: bool
    published: frozenset[str]
    shown: str | None


def read_by_apps(record: Record, published: frozenset[str]) -> CurrentKey | None:
    """The key that apps read: a staged one where it was published, and only not recorded yet."""
    staged = record.rotation.key if record.rotation else None
    if record.rotation and staged and staged.access_key in published:
        return _as_current(record.rotation, staged)
    return record.current


def see_that_it_can_end(record: Record) -> None:
    """Raises UsageError while something has to be cleared up first, TryAgainLater while a worker asks for a key."""
    name, rotation = record.target, record.rotation
    if record.deletes_held:
        raise UsageError(
            "Vault was set back: what is on record may be older than what apps read, and nothing is deleted",
            target=name,
            hint=f"It was not ended. Look which key is which, then run `rotator settle {name} --restored`.",
        )
    if rotation and rotation.phase is Phase.CREATING:
        raise TryAgainLater(
            "a worker asks HostUp for a key of this target just now, or died in the middle of it",
            target=name,
            hint=f"It was not ended. Run the command again after {rotation.lease.until.isoformat()}.",
        )
    if any(create.open for create in record.unconfirmed_creates):
        raise UsageError(
            "a create call may have made a key that nobody has on record",
            target=name,
            hint=f"It was not ended. Say first what became of it: `rotator settle {name}`.",
        )


def ended(record: Record, ending: Ending, now: datetime) -> Record:
    """The record afterwards; one that has ended already is left as it is.

    Raises as :func:`see_that_it_can_end`.
    """
    if record.has_ended:
        return record
    see_that_it_can_end(record)
    read = read_by_apps(record, ending.published)
    if (read.access_key if read else None) != ending.shown:
        raise TryAgainLater(
            "another key is current than the one that was shown",
            target=record.target,
            hint="It was not ended. A worker still rotates it: restart the workers, then run the command again.",
        )
    left = _without_others(record, read, now)
    if read and record.revoked and record.revoked.access_key == read.access_key:
        left = replace(left, retiring=(*left.retiring, record.revoked))  # a person has had it deleted already
    elif read:
        left = _revoked(left, read, now) if ending.revoke else _released(left, read, now)
    bare = replace(
        left,
        current=None,
        rotation=None,
        requests=(),
        failure=None,
        trouble=None,
        paused=None,
        next_at=None,
        revoking="",
        revoked=None,
    )
    return note(bare, Event.TARGET_REMOVED, now, path=record.path)


def _without_others(record: Record, read: CurrentKey | None, now: datetime) -> Record:
    """What no app reads retires: a staged key at once, a previous one when apps have had time to leave it."""
    staged, current = record.rotation.key if record.rotation else None, record.current
    retiring = list(record.retiring)
    if record.rotation and staged and (read is None or read.access_key != staged.access_key):
        key = to_retire(staged.access_key, Why.REMOVED, record.rotation.id, staged.request_id, now)
        retiring.append(replace(key, account=record.rotation.account))
    if current and (read is None or read.access_key != current.access_key):
        retiring += replaced(record, now, now + PREVIOUS_WORKS_FOR)
    return replace(record, retiring=tuple(retiring))


def _released(record: Record, read: CurrentKey, now: datetime) -> Record:
    noted = _noted(record, Event.KEY_RELEASED, read, now)
    return one_more_released(noted, read.account)


def _revoked(record: Record, read: CurrentKey, now: datetime) -> Record:
    noted = _noted(record, Event.KEY_REVOKED, read, now)
    key = to_retire(read.access_key, Why.REVOKED, read.rotation_id, read.request_id, now)
    key = replace(key, vault_version=read.vault_version or None, copies=read.copies, account=read.account)
    return replace(noted, retiring=(*record.retiring, key))


def _noted(record: Record, event: Event, key: CurrentKey, now: datetime) -> Record:
    return note(
        record,
        event,
        now,
        rotation_id=key.rotation_id,
        request_id=key.request_id,
        access_key=key.access_key,
        vault_version=key.vault_version or None,
    )


def _as_current(rotation: Rotation, staged: StagedKey) -> CurrentKey:
    return CurrentKey(
        access_key=staged.access_key,
        vault_version=0,  # it was published, and nobody has recorded as which version
        rotation_id=rotation.id,
        request_id=staged.request_id,
        label=rotation.label,
        created_at=staged.created_at,
        published_at=staged.created_at,
        account=rotation.account,
        copies=rotation.copies,
    )
