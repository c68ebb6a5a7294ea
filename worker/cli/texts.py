"""Times and history entries in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_TOLD_APART = ("n", "at", "event", "rotation_id")
_NAMES = {
    "access_key": "access key",
    "previous_access_key": "previous access key",
    "request_id": "requestId",
    "delete_request_id": "requestId",
    "storage_request_id": "storage's request id",
    "vault_version": "Vault version",
    "key_count": "keyCount",
    "key_count_before": "keyCount before",
    "key_count_after": "keyCount after",
}


def span(length: timedelta) -> str:
    """A length of time in its largest unit: ``3 d``, ``40 s``."""
    seconds = abs(round(length.total_seconds()))
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "0 s"


def when(told: str | datetime | None, now: datetime) -> str:
    """A moment in UTC, and how far away it is; empty for None."""
    if not told:
        return ""
    moment = datetime.fromisoformat(told) if isinstance(told, str) else told
    far = moment - now
    distance = f"in {span(far)}" if far > timedelta(0) else f"{span(far)} ago"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({distance})"


def entry_text(entry: Mapping[str, Any]) -> str:
    """A history entry on one line: when, what, and everything that is known of it."""
    return f"{_clock(entry.get('at'))}  {entry.get('event', '?'):<19}  {details(entry)}".rstrip()


def details(entry: Mapping[str, Any]) -> str:
    """What an entry tells beyond its time, its event and its rotation."""
    known = ((name, value) for name, value in entry.items() if name not in _TOLD_APART)
    return ", ".join(_told(name, value) for name, value in known if value not in (None, "", []))


def _told(name: str, value: object) -> str:
    if name == "duration_ms":
        return f"took {value} ms"
    text = " and ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{_NAMES.get(name, name.replace('_', ' '))} {text}"


def _clock(at: object) -> str:
    try:
        return f"{datetime.fromisoformat(str(at)).astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
    except ValueError:
        return f"{at!s:<20}"
