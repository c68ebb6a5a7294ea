"""The freezes of the configuration: ``[[freeze]]`` with ``from``, ``to`` and ``reason``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from worker.settings.problems import Problems, entries_of, show_key, show_text, unknown
from worker.targets.freeze import Freeze

LONGEST_REASON = 200
MOST = 100

KEYS = ("from", "to", "reason")
_ALLOWED = "allowed is a date, a time and an offset from UTC, such as 2026-11-27T00:00:00+01:00"


def read_freezes(file: str, raw: object, problems: Problems) -> tuple[Freeze, ...]:
    """All freezes, the first to begin first; what is wrong is noted in ``problems``."""
    entries = entries_of(raw, f"{file}: freeze", "each", problems, MOST)
    found = (_read(f"{file}: freeze[{number}]: ", entry, problems) for number, entry in enumerate(entries, 1))
    return tuple(sorted(freeze for freeze in found if freeze))


def _read(where: str, entry: Mapping[str, object], problems: Problems) -> Freeze | None:
    for key in entry:
        if key not in KEYS:
            problems.note(where + show_key(key), unknown(key, KEYS))
    begins, ends = (_moment(where + key, entry.get(key), problems) for key in ("from", "to"))
    reason = entry.get("reason")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > LONGEST_REASON or not reason.isprintable():
        problems.note(f"{where}reason", f"must say why, in a text on one line of at most {LONGEST_REASON} characters")
        return None
    if begins is None or ends is None:
        return None
    if ends <= begins:
        problems.note(f"{where}to", "is not after from; a freeze must end after it begins")
        return None
    return Freeze(begins, ends, reason)


def _moment(where: str, value: object, problems: Problems) -> datetime | None:
    """In UTC; TOML has moments of its own, and a text in quotes does as well."""
    if value is None:
        problems.note(where, f"is missing; {_ALLOWED}")
        return None
    moment = value if isinstance(value, datetime) else _parsed(value)
    if moment is None or moment.tzinfo is None:
        shown = show_text(value) if isinstance(value, str) else "what stands there"
        problems.note(where, f"{shown} is no moment with an offset from UTC; {_ALLOWED}")
        return None
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        problems.note(where, f"is out of range; {_ALLOWED}")
        return None


def _parsed(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
