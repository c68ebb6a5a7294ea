"""``rotator history`` and ``rotator trace``: what happened, from Vault alone; Redis only tells where to look first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from worker.adapters.redis.client import connect
from worker.adapters.redis.index import Index
from worker.adapters.vault.opening import open_vault
from worker.cli.options import Options
from worker.cli.output import print_lines, result
from worker.cli.texts import entry_text, when
from worker.clock import SystemClock
from worker.errors import QueueUnavailable, RotatorError, UsageError
from worker.rotation.history import Entry, rotations
from worker.rotation.records import RecordStore
from worker.rotation.trace import Trace, entries
from worker.rotation.trace import trace as find
from worker.settings.environment import Need
from worker.settings.settings import Settings

REDIS_SECONDS = 2.0


def history(options: Options, target: str, *, events: bool) -> int:
    """All rotations of a target, oldest first; or all its events, also those of no rotation."""
    settings = options.settings(Need.VAULT, only=(target,))
    found = entries(_store(settings), target)
    if not found and target not in settings.targets:
        raise UsageError(
            f"nothing is on record of a target {target[:64]!r}", hint="`rotator status` lists all targets."
        )
    if events:
        result(options, [entry.document() for entry in found], lambda: print_lines(map(entry_text, found)))
    else:
        grouped = rotations(found)
        result(options, grouped, lambda: _print_rotations(target, grouped))
    return 0


def trace(options: Options, identifier: str) -> int:
    """Everything around one id: a requestId, a rotation id or an access key."""
    settings = options.settings(Need.VAULT, only=())
    known_of = _hint(settings, identifier)
    found = find(_store(settings), identifier, known_of)
    if found is None:
        raise not_found(identifier, known_of)
    document = {
        "id": identifier,
        "target": found.target,
        "rotation_ids": list(found.rotation_ids),
        "events": [entry.document() for entry in found.events],
    }
    result(options, document, lambda: _print_trace(identifier, found))
    return 0


def not_found(identifier: str, known_of: str | None) -> RotatorError:
    """What to say of an id that Vault does not have; ``known_of`` is the target that Redis knows it of."""
    what = f"nothing is on record of {identifier[:128]!r}"
    if known_of:
        return RotatorError(
            f"{what}, but Redis knows it as an id of target {known_of}",
            hint="The record in Vault is older than that: Vault was set back to a snapshot, or the record was lost. "
            "`rotator audit` names it if it is an access key that lives; to have that deleted after the grace period: "
            f"`rotator settle {known_of} --revoke KEY`.",
        )
    return RotatorError(
        what,
        hint="An id is the requestId of a create or a delete, a rotation id or an access key, written in full. "
        "`rotator history TARGET` shows all there are of a target.",
    )


def _store(settings: Settings) -> RecordStore:
    clock = SystemClock()
    return RecordStore(open_vault(settings, clock), settings.vault.state_path, clock, settings.vault.mount)


def _hint(settings: Settings, identifier: str) -> str | None:
    try:
        with connect(settings.redis_url, timeout=REDIS_SECONDS, retries=0) as client:
            return Index(client).target_of(identifier)
    except QueueUnavailable:
        return None


def _print_rotations(target: str, found: Sequence[Mapping[str, Any]]) -> None:
    if not found:
        print_lines([f"{target} has not been rotated yet"])
    now = datetime.now(UTC)
    print_lines(line for rotation in found for line in _lines(rotation, now))


def _lines(rotation: Mapping[str, Any], now: datetime) -> Iterator[str]:
    """One rotation; not as a table, because ids are to be copied and must not be broken."""
    why = ": ".join(str(part) for part in (rotation["trigger"], rotation["reason"]) if part)
    why += f" (by {rotation['by']})" if rotation["by"] else ""
    yield f"{when(rotation['started_at'], now) or 'no beginning on record'}  {rotation['outcome']}  {why}".rstrip()
    yield f"  rotation {rotation['rotation_id']}"
    if rotation["access_key"]:
        version = f", Vault version {rotation['vault_version']}" if rotation["vault_version"] else ""
        yield f"  access key {rotation['access_key']}{version}"
    if rotation["request_id"]:
        yield f"  asked for by requestId {rotation['request_id']}"
    if rotation["retired_at"]:
        dead = f", dead since {when(rotation['dead_at'], now)}" if rotation["dead_at"] else ", not proven dead yet"
        yield f"  deleted by requestId {rotation['delete_request_id'] or 'none'}{dead}"


def _print_trace(identifier: str, found: Trace) -> None:
    print_lines([f"{identifier} belongs to target {found.target}"])
    for rotation_id in found.rotation_ids or ("",):
        print_lines(["", f"rotation {rotation_id}" if rotation_id else "outside any rotation"])
        print_lines(f"  {entry_text(entry)}" for entry in found.events if _belongs(entry, rotation_id))
    others = [entry for entry in found.events if not entry.rotation_id] if found.rotation_ids else []
    if others:
        print_lines(["", "outside any rotation", *(f"  {entry_text(entry)}" for entry in others)])


def _belongs(entry: Entry, rotation_id: str) -> bool:
    return (entry.rotation_id or "") == rotation_id
