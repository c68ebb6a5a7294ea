"""What is read from Redis, checked: whoever can write there could have written anything.

A document that does not have our form counts as one that is not there: all of it can be had from Vault, too.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from worker.clock import moment

LONGEST_DOCUMENT = 65_536
"""Characters. A summary of a target with all that may be retiring takes a tenth of it."""

LATEST = datetime(2200, 1, 1, tzinfo=UTC)
"""A moment after this is a mistake, or a lie."""

_CLOCKS_DIFFER = timedelta(minutes=5)
"""How far the clocks of two workers may be apart before one takes the other's moments for lies."""


def _is_moment(text: str) -> str:
    found = moment(text)
    if found is None or found > LATEST:
        raise ValueError("is no moment")
    return text


def _is_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has more than one line, or turns it round")
    return text


Moment = Annotated[str, Field(max_length=40), AfterValidator(_is_moment)]
Word = Annotated[str, Field(max_length=200), AfterValidator(_is_printable)]
Text = Annotated[str, Field(max_length=4_000)]
Number = Annotated[int, Field(ge=0, le=10**12)]


class Checked(BaseModel):
    """A document of ours. Nothing is converted, and nothing may be in it that we do not write."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class StoredRequest(Checked):
    """A request for a rotation that is not on record in Vault yet."""

    target: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9._-]+$")]
    reason: Annotated[str, Field(max_length=200)]
    by: Annotated[str, Field(max_length=200)] = ""
    leaked: bool = False


class Why(Checked):
    """Why calls to HostUp are held back."""

    at: Moment
    what: Text
    hint: Text
    request_id: Word | None


class Sighting(Checked):
    """How what apps read of a target was seen last."""

    last_seen_living_at: Moment | None
    last_watched_at: Moment | None
    watch_found: Text


class RetiringSummary(Checked):
    """A key on its way out, in a summary."""

    access_key: Word
    retire_after: Moment
    state: Word
    why: Word
    error: Text | None
    account: Word | None = None


class CreateSummary(Checked):
    """An unconfirmed create, in a summary."""

    rotation_id: Word
    at: Moment
    label: Text
    error: Text | None
    request_id: Word | None
    key_count_before: Number | None
    key_count_after: Number | None
    account: Word | None = None


class TroubleSummary(Checked):
    """What the watch found, in a summary."""

    kind: Word
    since: Moment
    what: Text
    confirmed: bool


class ErrorSummary(Checked):
    """A failure, in a summary."""

    what: Text
    hint: Text
    since: Moment | None = None
    at: Moment | None = None
    kind: Word | None = None
    operation: Word | None = None
    request_id: Word | None = None
    count: Number | None = None
    retry_at: Moment | None = None


class PausedSummary(Checked):
    """A pause, in a summary."""

    at: Moment
    by: Text
    reason: Text
    until: Moment | None


class CopySummary(Checked):
    """A copy of the app's secret, in a summary."""

    location: Text
    vault_version: Number | None
    has_new_key: bool


class Summary(Checked):
    """One target as ``rotator status`` shows it: what :mod:`worker.rotation.status` writes."""

    target: Word
    phase: Word
    access_key: Word | None
    vault_version: Number | None
    request_id: Word | None
    created_at: Moment | None
    next_rotation_at: Moment | None
    retiring: list[RetiringSummary]
    unconfirmed_creates: list[CreateSummary]
    trouble: TroubleSummary | None
    deletes_held: bool
    last_error: ErrorSummary | None
    waits_until: Moment | None = None
    waits_for: Text | None = None
    path: Text | None = None
    rotation_id: Word | None = None
    staged_access_key: Word | None = None
    requests: Number | None = None
    requested_at: Moment | None = None
    published_at: Moment | None = None
    needs_person: bool = False
    last_failure_at: Moment | None = None
    paused: PausedSummary | None = None
    rescheduled: bool | None = None
    leaked: bool | None = None
    key_account: Word | None = None
    copies: list[CopySummary] = []


class AuditNote(Checked):
    """When the last audit was, and what the last one counted that could: keys may come and go meanwhile."""

    at: Moment
    counted: Number | None
    explained: Number
    foreign: Number | None
    counted_at: Moment | None = None
    findings: dict[Word, Number] = {}


class ApiKeyNote(Checked):
    """How the API key in Vault stands, as one worker saw it last."""

    made_at: Moment | None
    roll_at: Moment | None
    needs_person: bool


C = TypeVar("C", bound=Checked)


def checked(kind: type[C], text: object) -> C | None:
    """A JSON document of this kind; None for nothing, and for what has another form."""
    if not isinstance(text, str) or len(text) > LONGEST_DOCUMENT:
        return None
    try:
        return kind.model_validate_json(text)
    except (ValidationError, UnicodeEncodeError):  # the latter for what was no UTF-8
        return None


def as_written(document: Checked) -> dict[str, object]:
    """A document as it was written."""
    return document.model_dump(exclude_unset=True)


def seconds(text: object) -> datetime | None:
    """A moment in seconds since 1970; None for nothing, and for what cannot be one (nan, inf, negative, huge)."""
    try:
        number = float(text) if isinstance(text, str | int | float) else -1.0
    except ValueError:
        return None
    return datetime.fromtimestamp(number, tz=UTC) if isfinite(number) and 0 < number < LATEST.timestamp() else None


def until(text: object, now: datetime, longest: timedelta) -> datetime | None:
    """The end of something that never lasts longer than ``longest``; None when there is no end in the future."""
    found = seconds(text)
    return min(found, now + longest) if found and found > now else None


def since(text: object, now: datetime) -> datetime | None:
    """When something was that is over; None for what cannot be, such as a moment that is still to come."""
    found = seconds(text)
    return found if found and found <= now + _CLOCKS_DIFFER else None


def count(text: object, most: int = 10**6) -> int | None:
    """A small whole number; None for what is none."""
    digits = text.removeprefix("-") if isinstance(text, str) else ""
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= len(str(most))):
        return None
    number = int(str(text))
    return number if abs(number) <= most else None
