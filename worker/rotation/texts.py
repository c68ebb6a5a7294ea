"""How long a text from outside may be in a record."""

from __future__ import annotations

from collections.abc import Sequence

from worker.printable import printable

LONGEST_ID = 128
"""Characters of an id that others choose: a message's, a requestId, an access key."""

LONGEST_NAME = 100
"""Characters of who asked."""

LONGEST_REASON = 200
LONGEST_TEXT = 2000
"""Characters of what explains something: errors, hints, reasons of old records."""

OTHERS_PLACES = "`rotator audit` names those of the others."
"""In the hint of a create that HostUp may have refused because there are too many keys."""

MOST_TEXTS = 40
"""In a list."""


def short(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text, cut where it is too long, and then with how long it was."""
    if len(text) <= longest:
        return text
    end = f"... ({len(text)} characters)"
    return text[: longest - len(end)] + end


def first_of(names: Sequence[str], most: int, joined: str = " and ") -> str:
    """The first of these, and how many more there are."""
    more = f"{joined}{len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def short_name(text: str) -> str:
    """Who asked, as it goes on record: on one line, and cut."""
    return short(printable(text[:LONGEST_REASON].strip()), LONGEST_NAME)


def short_fact(value: object) -> object:
    """The same for a fact of a history entry, which may be a list of ids or phrases."""
    if isinstance(value, str):
        return short(value)
    return [short(str(each), LONGEST_REASON) for each in value[:MOST_TEXTS]] if isinstance(value, list) else value


def short_id(value: str | None) -> str | None:
    """An id that somebody else chose; None for what is too long to be one."""
    return value if value and len(value) <= LONGEST_ID else None
