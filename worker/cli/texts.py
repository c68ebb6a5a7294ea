"""Times and history entries in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from worker.rotation.history import Entry

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
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


def when(value: str | datetime | None, now: datetime) -> str:
    """A moment in UTC, and how far away it is; empty for None."""
    if not value:
        return ""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    far = moment - now
    distance = f"in {span(far)}" if far > timedelta(0) else f"{span(far)} ago"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC ({distance})"


def ago(value: str | None, now: datetime) -> str:
    """How long ago a moment was; empty for None."""
    return f"{span(now - datetime.fromisoformat(value))} ago" if value else ""


def entry_text(entry: Entry) -> str:
    """A history entry on one line: when, what, and everything that is known of it."""
    at = f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if entry.at else ""
    return f"{at:<20}  {entry.event:<18}  {details(entry)}".rstrip()


def details(entry: Entry) -> str:
    """What an entry says beyond its time, its event and its rotation."""
    return ", ".join(_fact(name, value) for name, value in entry.fields().items() if name != "rotation_id")


def _fact(name: str, value: object) -> str:
    if name == "duration_ms":
        return f"took {value} ms"
    text = " and ".join(map(str, value)) if isinstance(value, list) else str(value)
    return f"{_NAMES.get(name, name.replace('_', ' '))} {text}"
