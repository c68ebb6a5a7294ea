"""What apps say of the keys that they use, for ``rotator status TARGET``: HostUp tells of no last use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from worker.cli.output import print_lines, say
from worker.cli.texts import when
from worker.errors import VaultDenied, VaultError
from worker.rotation.in_use import kept_until_at_most
from worker.rotation.ports import VaultPort
from worker.rotation.record import Record
from worker.targets.receipts import Receipt, receipts_in
from worker.targets.target import Target

CURRENT, OLD, OTHER = "current", "old", "other"


def said_by_apps(vault: VaultPort, root: str, target: Target, record: Record, now: datetime) -> list[dict[str, Any]]:
    """One entry for each reader that left a receipt below ``root``, old keys first; times are ISO 8601 in UTC.

    Those who read a copy in another mount leave none.

    A Vault that cannot be read is told, and no error: all else is known.
    """
    known = [receipt for path in target.paths_here() for receipt in _left_at(vault, f"{root}/{path}", target)]
    facts = [_facts(receipt, record, now) for receipt in known]
    return sorted(facts, key=lambda each: (each["gone"], each["uses"] == CURRENT, each["reader"]))


def _left_at(vault: VaultPort, path: str, target: Target) -> tuple[Receipt, ...]:
    try:
        found = receipts_in(vault.read(path).data or {})
    except VaultDenied as error:
        if target.retire_cap:
            say(f"{error.what}. {error.hint}")
        return ()
    except VaultError as error:
        say(f"{error.what}. {error.hint}")
        return ()
    if found.spoiled:
        say(f"{found.spoiled} entries at {path} are no receipts, and are passed over.")
    return found.known


def kept_at_most(retiring: Sequence[Mapping[str, Any]], target: Target, record: Record) -> list[dict[str, Any]]:
    """Retiring keys with the moment at which each goes whatever apps say; None: when its grace is over."""
    ends = {key.access_key: kept_until_at_most(key, target) for key in record.retiring}
    texts = {name: end.isoformat(timespec="milliseconds") if end else None for name, end in ends.items()}
    return [{**key, "kept_until_at_most": texts[key["access_key"]]} for key in retiring]


def print_readers(readers: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Who reads the key, in words."""
    print_lines(reader_lines(readers, now))


def reader_lines(readers: Sequence[Mapping[str, Any]], now: datetime) -> Iterator[str]:
    """A line for each reader."""
    for each in readers:
        key = "the current key" if each["uses"] == CURRENT else f"access key {each['access_key']}"
        named = f"{key} (version {each['vault_version']}) since {when(each['since'], now)}"
        head = "reader gone" if each["gone"] else "STILL OLD" if each["uses"] == OLD else "reader"
        yield f"{head}: {each['reader']} uses {named}; seen {when(each['seen'], now)}"


def _facts(receipt: Receipt, record: Record, now: datetime) -> dict[str, Any]:
    retiring = {key.access_key for key in record.retiring}
    is_current = record.current is not None and receipt.access_key == record.current.access_key
    return {
        "reader": receipt.reader,
        "uses": CURRENT if is_current else OLD if receipt.access_key in retiring else OTHER,
        "access_key": receipt.access_key,
        "vault_version": receipt.version,
        "rotation_id": receipt.rotation_id,
        "since": receipt.since.isoformat(timespec="seconds"),
        "seen": receipt.seen.isoformat(timespec="seconds"),
        "gone": receipt.is_gone(now),
    }
