"""What an answer of the HostUp API says: read with tolerance, quoted with care.

Only ``code``, ``message``, ``detail`` and ``title`` of an error answer (status 400 and up) are ever quoted, shortened
and without anything that could be a secret. The pages "Errors and limits", "Create a key", "Delete a key" and "Service
status" of the contract say what is documented; whatever is not documented is tolerated.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from worker.adapters.hostup.complaints import complaints, gateway_of, is_page
from worker.adapters.hostup.values import ONCE, request_id_problem
from worker.adapters.http.messages import Response
from worker.secret import Secret

LONGEST_WORD = 256
"""Characters of an address or a region."""

LONGEST_QUOTE = 200
LONGEST_WAIT = 86400.0
"""Seconds; a Retry-After beyond a day is taken for a day."""

_LONGEST_BODY = 256 * 1024
"""Bytes; an honest answer has less than two thousand."""

_FIRST_MOMENT = 1e9
"""A number from here on is no length of time but a moment: seconds since 1970, in September 2001."""

_FIRST_MILLIS = 1e12
"""A number from here on is a moment in milliseconds since 1970: the same September."""

_LONGEST_READ = 4000
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_TOKEN = re.compile(r"[A-Za-z0-9+/_=]{32,}")
"""What could be a secret: S3 secrets have 40 characters without a hyphen, which a UUID has."""


@dataclass(frozen=True, slots=True)
class HostUpResponse:
    """A response, parsed as far as it can be. ``document`` is its JSON object, or None when it is not one.

    ``secrets`` are the strings that must not be quoted from it: the API key, and every secret that it shows itself.
    """

    response: Response
    document: Mapping[str, object] | None = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def is_redirect(self) -> bool:
        """Whether the status is a 3xx."""
        return HTTPStatus.MULTIPLE_CHOICES <= self.status < HTTPStatus.BAD_REQUEST

    @property
    def is_error(self) -> bool:
        """Whether the status is a 4xx or higher."""
        return self.status >= HTTPStatus.BAD_REQUEST

    @property
    def succeeded(self) -> bool:
        """Whether this is a 2xx whose JSON object does not say ``success: false``."""
        agreed = self.document is not None and self.document.get("success") is not False
        return agreed and self.is_success

    @property
    def data(self) -> Mapping[str, object]:
        """The object ``data``; empty when there is none."""
        return _mapping(self.document, "data")

    @property
    def shown_key(self) -> Mapping[str, object] | None:
        """The object ``data.key``, when it names an access key, of whatever type; None when there is none."""
        key = _mapping(self.data, "key")
        return key if "accessKey" in key else None

    @property
    def request_id(self) -> str | None:
        """The body's ``requestId``, when it is there and can be one."""
        return None if self.request_id_problem else self._text("requestId") or None

    @property
    def request_id_problem(self) -> str | None:
        """Why the body's ``requestId`` cannot be one; None when it can, and when there is none."""
        if self._shows_secret(self._text("requestId")):
            return "The requestId holds a secret."
        return request_id_problem((self.document or {}).get("requestId"))

    @property
    def code(self) -> str | None:
        """An error's ``code``, when it is one word."""
        value = self._text("code")
        return value if self.is_error and self._is_code(value) else None

    @property
    def message(self) -> str:
        """What an error says of itself (:func:`.complaints`); empty if nothing, and for a success that says so."""
        says_failed = self.is_success and self.document is not None and self.document.get("success") is False
        if not self.is_error and not says_failed:
            return ""
        texts = (quotable(text, self.secrets) for text in complaints(self.document))
        return one_line("; ".join(text for text in texts if text))

    @property
    def speaks_of_last_key(self) -> bool:
        """Whether a delete was refused because it is the last key; the code is generic, so the message has to tell."""
        return self.status == HTTPStatus.BAD_REQUEST and any(
            "last access key" in self._text(name).casefold() for name in ("message", "detail", "title")
        )

    def summary(self) -> str:
        """Status, code and message in one phrase, such as ``400 BAD_REQUEST: "Cannot delete …"``."""
        head = f"{self.status} {self.code}" if self.code else f"{self.status}"
        if self.document is None and is_page(self.response):
            gateway = gateway_of(self.response)
            return f"{head}, a web page{f' ({gateway})' if gateway else ''}"
        if self.document is None:
            return f"{head}, not a JSON object"
        return f'{head}: "{self.message}"' if self.message else head

    def retry_after(self, now: datetime) -> float | None:
        """Seconds to wait: ``Retry-After``, for 429 else ``X-RateLimit-Reset``; each as :func:`_seconds` reads it."""
        headers = self.response.headers
        seconds = _seconds(headers.get("retry-after", ""), now)
        if seconds is None and self.status == HTTPStatus.TOO_MANY_REQUESTS:
            reset = headers.get("x-ratelimit-reset", "")
            seconds = _until(_iso_time(reset), now) if "-" in reset else _seconds(reset, now)
        return seconds

    def _text(self, name: str) -> str:
        value = (self.document or {}).get(name)
        return value if isinstance(value, str) else ""

    def _is_code(self, value: str) -> bool:
        return bool(_CODE.fullmatch(value)) and not _TOKEN.search(value) and not self._shows_secret(value)

    def _shows_secret(self, value: str) -> bool:
        return any(secret in value for secret in self.secrets)


def read(response: Response, api_key: Secret) -> HostUpResponse:
    """Parse one response; never fails."""
    document = _parse(response.body)
    secrets = {api_key.reveal(), *_secrets_in(document)}
    return HostUpResponse(response, document, tuple(sorted(secrets, key=len, reverse=True)))


def quotable(text: str, secrets: tuple[str, ...]) -> str:
    """Somebody else's text for our error: :func:`one_line` without known secrets and without what could be one."""
    if len(text) > _LONGEST_READ:
        return f"a message of {len(text)} characters, not shown"
    line = _printable(text)
    for secret in secrets:
        line = line.replace(secret, "***")
    return one_line(_TOKEN.sub("***", line))


def one_line(text: str) -> str:
    """The text without control characters and line ends, at most 200 characters."""
    line = _printable(text)
    return line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 1] + "…"


def usable_word(value: object) -> str | None:
    """The value, when it can be an address or a region: printable, no blanks, at most 256 characters."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_WORD:
        return None
    return value if value.isprintable() and not any(char.isspace() for char in value) else None


def _printable(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _parse(body: bytes) -> Mapping[str, object] | None:
    # None instead of an error on purpose: json's error holds the whole answer, and would become our error's __context__
    if len(body) > _LONGEST_BODY:
        return None
    try:
        document = json.loads(body, object_pairs_hook=_object)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object. Raises ValueError when a name of :data:`ONCE` stands in it twice: nobody can say which counts."""
    made = dict(pairs)
    if len(made) < len(pairs) and any(sum(name == each for name, _ in pairs) > 1 for each in ONCE):
        raise ValueError("a name stands twice")
    return made


def _secrets_in(document: Mapping[str, object] | None) -> Iterator[str]:
    """Every string that stands anywhere under a name like ``secretKey``; without recursion, whatever the depth."""
    heap: list[tuple[bool, object]] = [(False, document)]
    while heap:
        secret, value = heap.pop()
        if isinstance(value, dict):
            heap.extend((secret or "secret" in name.casefold(), inner) for name, inner in value.items())
        elif isinstance(value, list):
            heap.extend((secret, inner) for inner in value)
        elif secret and isinstance(value, str) and value.strip():
            yield value


def _mapping(document: Mapping[str, object] | None, name: str) -> Mapping[str, object]:
    value = (document or {}).get(name)
    return value if isinstance(value, dict) else {}


def _seconds(text: str, now: datetime) -> float | None:
    """From seconds (also with a fraction), a moment as seconds or milliseconds since 1970, or an HTTP date.

    A moment that has passed is now (docs/facts.md, "HTTP").
    """
    try:
        number = float(text)
    except ValueError:
        return _until(_http_date(text), now)
    if not math.isfinite(number) or number < 0:
        return None
    if number < _FIRST_MOMENT:
        return min(number, LONGEST_WAIT)
    return min(max(number / (1000 if number >= _FIRST_MILLIS else 1) - now.timestamp(), 0.0), LONGEST_WAIT)


def _until(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT)


def _http_date(text: str) -> datetime | None:
    try:
        return _in_utc(parsedate_to_datetime(text))
    except (ValueError, OverflowError):
        return None


def _iso_time(text: str) -> datetime | None:
    try:
        return _in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
