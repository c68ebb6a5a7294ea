"""Create calls of which nobody knows whether they made a key: on record, counted again, settled. Pure.

See :mod:`worker.rotation.changes.rotation`; what a person settles is in :mod:`worker.rotation.changes.settlement`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from worker.errors import RotatorError
from worker.events import Event
from worker.rotation.changes.rotation import Holder, failed, minting, note, pruned, to_retire
from worker.rotation.record import Record, Rotation, UnknownMint, Why


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known of a create call that may have made a key."""

    why: RotatorError
    key_count_after: int | None
    access_key: str | None = None


def mint_unknown(record: Record, holder: Holder, outcome: Outcome, now: datetime, retry_at: datetime) -> Record:
    """Nobody knows whether a key was made: say so, end the rotation, begin another at ``retry_at``.

    Where the answer named the key (but no secret), nothing is unknown: that key is retired.
    """
    rotation = minting(record, holder)
    ended = replace(record, rotation=None)
    if outcome.access_key and outcome.access_key not in record.keys_on_record():
        key = to_retire(outcome.access_key, Why.UNUSABLE, rotation.id, outcome.why.request_id, now)
        ended = note(
            ended,
            Event.KEY_STRAY,
            now,
            rotation_id=rotation.id,
            request_id=key.request_id,
            access_key=key.access_key,
            why=key.why.value,
        )
        ended = replace(ended, retiring=(*record.retiring, key))
    else:
        ended = _with_unknown(ended, rotation, outcome, now)
    return failed(ended, outcome.why, now, retry_at, operation="create", rotation_id=rotation.id)


def _with_unknown(record: Record, rotation: Rotation, outcome: Outcome, now: datetime) -> Record:
    mint = UnknownMint(
        rotation_id=rotation.id,
        at=rotation.started_at,
        label=rotation.label,
        error=outcome.why.what,
        request_id=outcome.why.request_id,
        key_count_before=rotation.key_count_before,
        key_count_after=outcome.key_count_after,
    )
    noted = note(
        record,
        Event.MINT_UNKNOWN,
        now,
        rotation_id=rotation.id,
        request_id=mint.request_id,
        label=mint.label,
        error=mint.error,
        key_count_before=mint.key_count_before,
        key_count_after=mint.key_count_after,
    )
    return replace(noted, unknown_mints=(*record.unknown_mints, mint))


def recounted(record: Record, key_count: int | None) -> Record:
    """Fill in ``keyCount`` for open mints where it could not be had at the time; None changes nothing.

    It settles nothing, and a count that is known stays: other targets' keys come and go in the same account meanwhile.
    """
    if key_count is None:
        return record
    mints = tuple(
        replace(mint, key_count_after=key_count) if mint.open and mint.key_count_after is None else mint
        for mint in record.unknown_mints
    )
    return record if mints == record.unknown_mints else replace(record, unknown_mints=mints)


def explained(record: Record, before: datetime, now: datetime) -> Record:
    """Settle the open mints from before a moment: an audit found every key of the account explained."""
    verdict = "no key was made: the audit explains every key of the account"
    settled = [mint for mint in record.unknown_mints if mint.open and mint.at < before]
    for mint in settled:
        record = note(record, Event.MINT_SETTLED, now, rotation_id=mint.rotation_id, verdict=verdict)
    mints = tuple(replace(mint, settled=verdict) if mint in settled else mint for mint in record.unknown_mints)
    return replace(record, unknown_mints=pruned(mints)) if settled else record
