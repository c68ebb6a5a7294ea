"""Receipts: which key an app uses, where, and since when, as it says itself in a document of its own in Vault. Pure.

The document of one target has a text for each reader. Whoever has the app's token can write what he likes there, so
all of it is bounded and checked when it is read, and it never shortens a key's time: it can only have a key kept a
while longer (:mod:`worker.rotation.in_use`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from worker.clock import moment

RECEIPTS_PATH = "hostup-rotator/receipts"
"""Where receipts lie in the mount, if not told otherwise: each target's at this path and its own path behind it."""

BEAT = timedelta(minutes=10)
"""How often a reader says that it is still there."""

GONE_AFTER = timedelta(hours=1)
"""A reader that has said nothing for so long is not there any more."""

FORGOTTEN_AFTER = timedelta(days=1)
"""So long after its last word a reader is dropped by the next one that writes."""

MOST_READERS = 200
"""In one document: OpenBao takes 1,000 texts, and each reader has two."""

LONGEST_NAME = 128
LONGEST_TEXT = 1000
_LONGEST_ID = 128
_HIGHEST_VERSION = 2**53


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one reader says: the key it uses, as of which version and rotation, since when, and when it said so last.

    ``before`` is the key that it used before this one; empty where it began with this one.
    """

    reader: str
    access_key: str
    version: int
    rotation_id: str
    since: datetime
    seen: datetime
    before: str = ""

    def is_gone(self, now: datetime) -> bool:
        """Whether it has said nothing for so long that it is not there any more."""
        return now - self.seen > GONE_AFTER


@dataclass(frozen=True, slots=True)
class Receipts:
    """All that a document says. ``spoiled`` counts what is no receipt, or one too many."""

    known: tuple[Receipt, ...] = ()
    spoiled: int = 0


def receipts_in(data: Mapping[str, object]) -> Receipts:
    """Read a document that anybody may have written; never raises."""
    found = [_receipt(name, data[name]) for name in sorted(data)[:MOST_READERS]]
    known = tuple(receipt for receipt in found if receipt)
    return Receipts(known, len(data) - len(known))


def renewed(former: Receipt | None, fresh: Receipt) -> Receipt:
    """What a reader says now, beside what it said before: since when it has this key, and which one it had before."""
    if former is None:
        return fresh
    if former.access_key != fresh.access_key:
        return replace(fresh, before=former.access_key)
    return replace(fresh, since=min(former.since, fresh.since), before=former.before)


def with_receipt(data: Mapping[str, object], fresh: Receipt) -> dict[str, object]:
    """The document with a reader's word in it, and without those that have long been silent."""
    known = {receipt.reader: receipt for receipt in receipts_in(data).known}
    mine = renewed(known.pop(fresh.reader, None), fresh)
    others = [each for each in known.values() if fresh.seen - each.seen <= FORGOTTEN_AFTER]
    others = sorted(others, key=lambda each: each.seen)[-(MOST_READERS - 1) :]
    return {each.reader: encode(each) for each in (*others, mine)}


def encode(receipt: Receipt) -> str:
    """One reader's word as a compact text: Vault limits how many texts a document has."""
    return json.dumps(
        {
            "access_key": receipt.access_key,
            "version": receipt.version,
            "rotation_id": receipt.rotation_id,
            "since": receipt.since.isoformat(timespec="seconds"),
            "seen": receipt.seen.isoformat(timespec="seconds"),
            "before": receipt.before,
        },
        separators=(",", ":"),
    )


def reader_name(host: str, by: str) -> str:
    """What a reader is called: its host, and what it is. Cut and made printable: a host may be called anything."""
    name = "".join(char if char.isprintable() else "?" for char in f"{host} {by}")
    return name[:LONGEST_NAME]


def _receipt(name: str, text: object) -> Receipt | None:
    if not 0 < len(name) <= LONGEST_NAME or not isinstance(text, str) or len(text) > LONGEST_TEXT:
        return None
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    since, seen, version = moment(said.get("since")), moment(said.get("seen")), _version(said.get("version"))
    access_key, rotation_id, before = (_id(said.get(key)) for key in ("access_key", "rotation_id", "before"))
    if since is None or seen is None or version is None or not access_key or rotation_id is None or before is None:
        return None
    return Receipt(name, access_key, version, rotation_id, since, seen, before)


def _version(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _HIGHEST_VERSION else None


def _id(value: object) -> str | None:
    return value if isinstance(value, str) and len(value) <= _LONGEST_ID else None
