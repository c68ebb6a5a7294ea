"""The events of a target: its history, entry by entry and rotation by rotation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from worker.events import Event

Entry = Mapping[str, Any]


def parse(text: str) -> Entry:
    """One entry; a garbled one is shown as such."""
    try:
        entry = json.loads(text)
    except ValueError:
        entry = None
    return entry if isinstance(entry, dict) and isinstance(entry.get("n"), int) else {"n": 0, "at": "", "event": "?"}


def ids_of(entry: Mapping[str, Any]) -> set[str]:
    """The ids in a history entry that a trace can start from."""
    names = ("rotation_id", "request_id", "access_key", "request")
    return {str(entry[name]) for name in names if entry.get(name)}


def rotations(found: Iterable[Entry]) -> list[dict[str, Any]]:
    """A target's entries as a list of rotations, oldest first, each with its outcome and its events."""
    grouped: dict[str, list[Entry]] = {}
    for entry in found:
        if entry.get("rotation_id"):
            grouped.setdefault(str(entry["rotation_id"]), []).append(entry)
    return [_rotation(rotation_id, events) for rotation_id, events in grouped.items()]


def _rotation(rotation_id: str, events: list[Entry]) -> dict[str, Any]:
    started, ended = _first(events, Event.ROTATION_STARTED), _first(events, Event.ROTATION_SUCCEEDED)
    created, retired = _first(events, Event.KEY_CREATED), _first(events, Event.KEY_RETIRED)
    return {
        "rotation_id": rotation_id,
        "outcome": _outcome(events),
        "trigger": started.get("trigger"),
        "reason": started.get("reason", ""),
        "started_at": started.get("at"),
        "ended_at": ended.get("at"),
        "duration_ms": _duration(started.get("at"), ended.get("at")),
        "access_key": created.get("access_key"),
        "previous_access_key": ended.get("previous_access_key"),
        "vault_version": ended.get("vault_version"),
        "request_id": created.get("request_id") or _first(events, Event.CREATE_UNCONFIRMED).get("request_id"),
        "delete_request_id": retired.get("request_id"),
        "retired_at": retired.get("at"),
        "dead_at": _first(events, Event.KEY_DEAD).get("at"),
        "events": events,
    }


def _outcome(events: list[Entry]) -> str:
    names = {entry["event"] for entry in events}
    for event, outcome in (
        (Event.ROTATION_SUCCEEDED, "succeeded"),
        (Event.CREATE_UNCONFIRMED, "unknown"),
        (Event.ROTATION_FAILED, "failed"),
    ):
        if event.value in names:
            return outcome
    return "under way"


def _first(events: list[Entry], event: Event) -> Entry:
    return next((entry for entry in events if entry["event"] == event.value), {})


def _duration(started: str | None, ended: str | None) -> int | None:
    if not started or not ended:
        return None
    return round((datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds() * 1000)
