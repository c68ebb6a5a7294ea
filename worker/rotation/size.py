"""How large a record may get, and what makes it smaller. Pure.

Whatever comes from outside is bounded where it enters a record: one id of 500 KB would else make it so large that a key
in hand cannot be put on record. What hand edits and older releases left in one is still read, and trimmed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from worker.errors import RecordTooLarge
from worker.rotation.record import Record, encode
from worker.rotation.texts import LONGEST_ID, LONGEST_TEXT, short

LONGEST_RECORD = 384 * 1024
"""Bytes of JSON with which a rotation may begin. Consul keeps 512 KiB, raft 1 MiB (docs/facts.md, "Vault")."""

MOST_STRINGS = 750
"""Names and texts with which a rotation may begin. OpenBao takes 1,000 in a body; the rest of a rotation, its deletes
and the requests that may come meanwhile need 200."""


def see_that_it_fits(record: Record) -> None:
    """See that a rotation can be recorded to its end, before HostUp is asked for a key. Raises RecordTooLarge."""
    document = encode(record)
    size, strings = len(json.dumps(document)), _strings(document)
    if size <= LONGEST_RECORD and strings <= MOST_STRINGS:
        return
    holds = (
        f"{len(record.retiring)} retiring keys, {len(record.unconfirmed_creates)} unconfirmed creates, "
        f"{len(record.requests)} requests"
    )
    raise RecordTooLarge(
        f"the record has {size} bytes and {strings} names and texts; with more than {LONGEST_RECORD} or {MOST_STRINGS} "
        f"a new key might not fit into it any more (it holds {holds})",
        target=record.target,
        hint=f"No key is made. Settle what is open (`rotator settle {record.target}`), and see `rotator audit` for "
        "keys that are not deleted.",
    )


def trimmed(record: Record) -> Record:
    """The record with all texts as short as they would be written today; the same one where they are.

    Names of keys and ids of rotations stay as they are: a name that is cut is the name of something else.
    """
    requests = tuple(
        replace(known, id=short(known.id, LONGEST_ID), reason=short(known.reason, LONGEST_TEXT))
        for known in record.requests
    )
    creates = tuple(replace(known, error=short(known.error, LONGEST_TEXT)) for known in record.unconfirmed_creates)
    failure, trouble = record.failure, record.trouble
    changed = replace(
        record,
        requests=requests,
        served=tuple((known, by) for known, by in record.served if len(known) <= LONGEST_ID),
        retiring=tuple(replace(key, error=short(key.error, LONGEST_TEXT)) for key in record.retiring),
        unconfirmed_creates=creates,
        failure=failure and replace(failure, what=short(failure.what), hint=short(failure.hint)),
        trouble=trouble and replace(trouble, what=short(trouble.what)),
    )
    return record if changed == record else changed


def _strings(value: object) -> int:
    """Texts and names in a document, as OpenBao counts them."""
    if isinstance(value, str):
        return 1
    if isinstance(value, Mapping):
        return len(value) + sum(_strings(inner) for inner in value.values())
    return sum(_strings(inner) for inner in value) if isinstance(value, list | tuple) else 0
