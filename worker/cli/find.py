"""``rotator find``: whose an access key is, and what became of it; also of one that is long dead."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from worker.adapters.redis.client import connect
from worker.adapters.redis.index import Index
from worker.adapters.vault.opening import open_vault
from worker.cli.options import Options
from worker.cli.output import print_facts, result
from worker.cli.texts import when
from worker.clock import SystemClock
from worker.errors import QueueUnavailable, RecordError, RotatorError
from worker.events import Event
from worker.rotation.history import Entry
from worker.rotation.record import CurrentKey, Record
from worker.rotation.records import RecordStore
from worker.rotation.trace import trace
from worker.settings.environment import Need
from worker.settings.settings import Settings
from worker.targets.account import DEFAULT_ACCOUNT

REDIS_SECONDS = 2.0

_MOMENTS = {
    Event.KEY_CREATED: "created_at",
    Event.KEY_ADOPTED: "created_at",
    Event.SECRET_PUBLISHED: "published_at",
    Event.KEY_RETIRED: "deleted_at",
    Event.KEY_DEAD: "dead_at",
    Event.KEY_RELEASED: "released_at",
}
"""The first event of a kind tells when; but a key that is published again, or deleted again, counts from the last."""


def find(options: Options, access_key: str) -> int:
    """Tell whose the key is. Raises RotatorError where nothing is on record of it, VaultError."""
    settings, clock = options.settings(Need.VAULT, only=()), SystemClock()
    store = RecordStore(open_vault(settings, clock), settings.vault.state_path, clock, settings.vault.mount)
    owner = store.claims.owner(access_key)
    found = trace(store, access_key, owner.target if owner else _hint(settings, access_key))
    if found is None and owner is None:
        raise RotatorError(
            f"nothing is on record of access key {access_key[:128]!r}",
            hint="It is none that this project made or was given. Look in HostUp's panel, by its label.",
        )
    target = found.target if found else owner.target if owner else ""
    document = _document(access_key, target, found.events if found else (), _record(store, target))
    document |= {"account": owner.account} if owner else {}
    now = clock.now()
    result(options, document, lambda: print_facts(_facts(document, now)))
    return 0


def _account(events: Iterable[Entry]) -> str:
    """Where the key lies, by the history: what names none is of the default account."""
    return next((str(entry.facts["account"]) for entry in events if entry.facts.get("account")), DEFAULT_ACCOUNT)


def _hint(settings: Settings, access_key: str) -> str | None:
    try:
        with connect(settings.redis_url, timeout=REDIS_SECONDS, retries=0) as client:
            return Index(client).target_of(access_key)
    except QueueUnavailable:
        return None


def _record(store: RecordStore, target: str) -> Record | None:
    try:
        return store.load(target, "").record
    except RecordError:
        return None  # the history tells what it can


def _document(access_key: str, target: str, events: Iterable[Entry], record: Record | None) -> dict[str, Any]:
    known = [entry for entry in events if entry.access_key == access_key]
    moments: dict[str, str | None] = dict.fromkeys(_MOMENTS.values())
    for entry in known:
        name = next((name for event, name in _MOMENTS.items() if event == entry.event), None)
        if name and entry.at:
            moments[name] = entry.at.isoformat()
    state, since, until = _state(access_key, moments, record)
    published = [entry.facts for entry in known if entry.event == Event.SECRET_PUBLISHED]
    last = published[-1] if published else {}
    return {
        "access_key": access_key,
        "target": target,
        "account": _account(known),
        "state": state,
        "since": since,
        "works_until": until,
        **moments,
        "vault_version": last.get("vault_version"),
        **({"copies": last["copies"]} if last.get("copies") else {}),
        "request_id": next((e.request_id for e in known if e.event == Event.KEY_CREATED), None),
        "delete_request_id": next((e.request_id for e in reversed(known) if e.event == Event.KEY_RETIRED), None),
    }


def _state(
    access_key: str, moments: dict[str, str | None], record: Record | None
) -> tuple[str, str | None, str | None]:
    """The state by the record, else by the history; since when, and until when the key works at least."""
    current, rotation = (record.current, record.rotation) if record else (None, None)
    if record and current and current.access_key == access_key:
        return _of_current(record, current, moments["dead_at"])
    if rotation and rotation.key and rotation.key.access_key == access_key:
        return "staged", rotation.key.created_at.isoformat(), None
    for key in record.retiring if record else ():
        if key.access_key == access_key:
            if key.deleted_at:
                return key.state, key.deleted_at.isoformat(), None
            return key.state, _replaced_at(access_key, record), key.retire_after.isoformat()
    for state in ("dead", "released"):
        if moments[f"{state}_at"]:
            return state, moments[f"{state}_at"], None
    return "not known", None, None


def _replaced_at(access_key: str, record: Record | None) -> str | None:
    """When another key took its place, as far as the history in the record tells."""
    for entry in record.history.newest_first() if record else ():
        if entry.facts.get("previous_access_key") == access_key and entry.at:
            return entry.at.isoformat()
    return None


def _of_current(record: Record, current: CurrentKey, dead_at: str | None) -> tuple[str, str | None, str | None]:
    """Of the key that apps read: it may have been revoked, or have died."""
    if record.revoked and record.revoked.deleted_at:
        return record.revoked.state, record.revoked.deleted_at.isoformat(), None
    if record.trouble and record.was_killed(current.access_key):
        return "dead", dead_at or record.trouble.since.isoformat(), None
    return "current", current.published_at.isoformat(), None


def _facts(document: dict[str, Any], now: datetime | None = None) -> list[tuple[str, str]]:
    now = now or datetime.now(UTC)
    names = ("created", "published", "deleted", "dead", "released")
    return [
        ("access key", document["access_key"]),
        ("target", document["target"]),
        ("account", document["account"] if document["account"] != DEFAULT_ACCOUNT else ""),
        ("state", f"{document['state']}" + (f" since {when(document['since'], now)}" if document["since"] else "")),
        ("works until", when(document["works_until"], now)),
        *((name, when(document[f"{name}_at"], now)) for name in names),
        ("Vault version", str(document["vault_version"] or "")),
        ("copies", "; ".join(str(copy).replace(" ", ", version ") for copy in document.get("copies", ()))),
        ("requestId", document["request_id"] or ""),
        ("deleted by", document["delete_request_id"] or ""),
    ]
