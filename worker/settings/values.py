"""What single values of the configuration may be.

Each reader takes what TOML handed over and returns the value, or raises ValueError in words that follow the key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from string import Formatter
from typing import TypeVar

from worker.secret import Secret
from worker.settings.address import address_problem
from worker.settings.file import did_you_mean, show_text
from worker.settings.redis_url import redis_passwords, redis_problem
from worker.targets.durations import parse_duration
from worker.targets.schedule import parse_cron, parse_window
from worker.targets.target import render_label

LABEL_FIELDS = ("rotation_id", "date", "target")
LONGEST_LABEL = 200
"""Characters, as it comes out. HostUp documents no limit."""

LONGEST_PATH = 512
LONGEST_FIELD = 128

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PATH = re.compile(r"[A-Za-z0-9._~@:,=+-]+(?:/[A-Za-z0-9._~@:,=+-]+)*")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
T = TypeVar("T")

_EXAMPLE_ID = "00000000-0000-0000-0000-000000000000"


def text(value: object) -> str:
    """Any text that is not empty and has no control characters."""
    if isinstance(value, str) and value and value.isprintable():
        return value
    if value == "":
        raise ValueError("must not be empty")
    kind = "one with control characters" if isinstance(value, str) else _kind(value)
    raise ValueError(f"must be a text in quotes on one line, not {kind}")


def whole(least: int, most: int) -> Callable[[object], int]:
    """A reader of whole numbers within bounds."""

    def read(value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            if least <= value <= most:
                return value
            raise ValueError(f"is out of range; allowed are {least} to {most}")
        raise ValueError(f"must be a whole number, not {_kind(value)}")

    return read


def quoted(parse: Callable[[str], T], example: str) -> Callable[[object], T]:
    """A reader of texts that ``parse`` understands; what it raises is put behind the text it was given."""

    def read(value: object) -> T:
        if isinstance(value, str):
            try:
                return parse(value)
            except ValueError as error:
                raise ValueError(f"{show_text(value)} {error}") from None
        raise ValueError(f'must be a text in quotes such as "{example}", not {_kind(value)}')

    return read


duration = quoted(parse_duration, "30d")
cron = quoted(parse_cron, "0 3 1 * *")
window = quoted(parse_window, "02:00-05:00 Europe/Stockholm")


def address(value: object) -> str:
    """The address of a service, without a slash at its end; never quoted, as it may hold a password."""
    url = text(value)
    problem = address_problem(url)
    if problem:
        raise ValueError(problem)
    return url.rstrip("/")


def redis_url(value: object) -> Secret:
    """The address of Redis; one with a password does not belong into the file."""
    url = Secret(text(value))
    problem = redis_problem(url)
    if problem:
        raise ValueError(problem)
    if redis_passwords(url):
        raise ValueError("must not hold a password; set REDIS_URL in the environment, or REDIS_URL_FILE")
    return url


def region(value: object) -> str:
    """A region's name, as it stands in signatures."""
    if not _REGION.fullmatch(text(value)):
        raise ValueError("is not a region; allowed are letters, digits and hyphens, such as eu-north-1")
    return str(value)


def name(value: object) -> str:
    """A target's name; it is part of a path in Vault and of labels."""
    given = text(value)
    if not _NAME.fullmatch(given):
        allowed = "1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit"
        raise ValueError(f"{show_text(given)} is not a name; allowed are {allowed}")
    return given


def path(value: object) -> str:
    """A mount or a path in Vault, without slashes at its ends."""
    given = text(value)
    inner = given.removeprefix("/").removesuffix("/")
    if not _PATH.fullmatch(inner) or {".", ".."} & set(inner.split("/")) or len(inner) > LONGEST_PATH:
        allowed = f"parts of letters, digits and ._~@:,=+- joined by single slashes, {LONGEST_PATH} characters in all"
        raise ValueError(f'{show_text(given)} is not a path; allowed are {allowed}, and no part "." or ".."')
    return inner


def label(value: object) -> str:
    """A label's template: any text with the placeholders ``{rotation_id}``, ``{date}`` and ``{target}``."""
    template = text(value)
    wrong = _wrong_placeholder(template)
    if wrong is None:
        return template
    allowed = ", ".join(f"{{{field}}}" for field in LABEL_FIELDS)
    raise ValueError(f"{show_text(template)} {wrong}allowed are {allowed}, and {{{{ and }}}} for braces")


def label_problem(template: str, target: str) -> str | None:
    """What is wrong with how a label comes out for a target; None when nothing is."""
    rendered = render_label(template, _EXAMPLE_ID, "2026-01-31", target)
    if not rendered.strip():
        return "comes out empty"
    if len(rendered) > LONGEST_LABEL:
        return f"comes out {len(rendered)} characters long; at most {LONGEST_LABEL} are allowed"
    return None


@lru_cache(maxsize=1024)
def _wrong_placeholder(template: str) -> str | None:
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        return "has a single brace; "
    for _, field, spec, conversion in parts:
        if field is not None and (field not in LABEL_FIELDS or spec or conversion):
            written = field + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            return f"has the placeholder {show_text(written)}; {did_you_mean(field, LABEL_FIELDS)}"
    return None


def field_name(value: object) -> str:
    """A name in an app's secret."""
    given = text(value)
    if len(given) > LONGEST_FIELD:
        raise ValueError(f"is longer than {LONGEST_FIELD} characters")
    return given


def _kind(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")
