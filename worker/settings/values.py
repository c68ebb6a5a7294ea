"""What single values of the configuration may be: the types that the models are made of.

What is wrong is raised as ValueError in words that follow the key or the variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
)

from worker.secret import Secret, is_one_word
from worker.settings.address import address_problem
from worker.settings.problems import did_you_mean, kind_of, show_text, unknown
from worker.settings.redis_url import redis_passwords, redis_problem
from worker.settings.value_file import one_line, read_text
from worker.targets.durations import parse_duration
from worker.targets.fields import PRESETS, SOURCES, FieldMap, field_map
from worker.targets.schedule import NEVER, Window, parse_cron, parse_window

STRICT = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
"""What holds for every model: it never changes, and a key that it does not know is a mistake."""

FILE = "file"
"""The context of validation when values come from the configuration file."""

LABEL_FIELDS = ("rotation_id", "date", "target")

LONGEST_SECRET = 8192
LONGEST_PATH = 512
LONGEST_FIELD = 128
LONGEST_OWNER = 128

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_QUEUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")
_PATH = re.compile(r"[A-Za-z0-9._~@:,=+-]+(?:/[A-Za-z0-9._~@:,=+-]+)*")
_RIGHT_BRACES = re.compile(rf"{{{{|}}}}|{{(?:{'|'.join(LABEL_FIELDS)})}}")
_PLACEHOLDER = re.compile("{([^{}]*)}")
T = TypeVar("T")


def whole(least: int, most: int) -> AfterValidator:
    """The bounds of a whole number."""

    def check(value: int) -> int:
        if least <= value <= most:
            return value
        raise ValueError(f"is out of range; allowed are {least} to {most}")

    return AfterValidator(check)


def _parsed(parse: Callable[[str], T], kind: type[T], example: str) -> PlainValidator:
    """A validator that parses texts; what ``parse`` raises is put behind the text."""

    def read(value: object) -> T:
        if isinstance(value, str):
            try:
                return parse(value)
            except ValueError as error:
                raise ValueError(f"{show_text(value)} {error}") from None
        if isinstance(value, kind):
            return value
        raise ValueError(f'must be a text in quotes such as "{example}", not {kind_of(value)}')

    return PlainValidator(read)


def _interval(text: str) -> timedelta:
    return NEVER if text == "never" else parse_duration(text)


def _one_word(value: str) -> str:
    if is_one_word(value) and len(value) <= LONGEST_SECRET:
        return value
    raise ValueError(f"must be one word of at most {LONGEST_SECRET} characters, all of them visible ASCII")


def secret_word(value: str) -> Secret:
    """A secret of one word. Raises ValueError, in words that follow its name."""
    return Secret(_one_word(value))


def _secret(value: object) -> object:
    return secret_word(value) if isinstance(value, str) else value


def _readable(file: Path) -> Path:
    read_text(file)
    return file


def _address(url: str) -> str:
    problem = address_problem(url)
    if problem:
        raise ValueError(problem)
    return url.rstrip("/")


def _without_version(url: str) -> str:
    if url.endswith("/v1"):
        raise ValueError("must not end in /v1, which every call adds by itself; leave that off")
    return url


def redis_url(value: str) -> Secret:
    """The address of Redis as the environment may have it. Raises ValueError, in words that follow its name."""
    return _usable_redis(secret_word(value))


def _usable_redis(url: Secret) -> Secret:
    problem = redis_problem(url)
    if problem:
        raise ValueError(problem)
    return url


def _redis_url(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    if info.context != FILE:
        return redis_url(value)
    url = _usable_redis(Secret(one_line(value)))
    if redis_passwords(url):
        raise ValueError("must not hold a password; set REDIS_URL in the environment, or REDIS_URL_FILE")
    return url


def _region(value: str) -> str:
    if _REGION.fullmatch(value):
        return value
    raise ValueError("is not a region; allowed are letters, digits and hyphens, such as eu-north-1")


def _queue_name(value: str) -> str:
    if _QUEUE.fullmatch(value):
        return value
    allowed = "1 to 64 letters, digits, '.', '_' and '-', beginning with a letter or a digit"
    raise ValueError(f"{show_text(value)} is not a name of a queue; allowed are {allowed}")


def _name(value: str) -> str:
    if _NAME.fullmatch(value):
        return value
    allowed = "1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit"
    raise ValueError(f"{show_text(value)} is not a name; allowed are {allowed}")


def _path(value: str) -> str:
    inner = value.removeprefix("/").removesuffix("/")
    if not _PATH.fullmatch(inner) or {".", ".."} & set(inner.split("/")) or len(inner) > LONGEST_PATH:
        allowed = f"parts of letters, digits and ._~@:,=+- joined by single slashes, {LONGEST_PATH} characters in all"
        raise ValueError(f'{show_text(value)} is not a path; allowed are {allowed}, and no part "." or ".."')
    return inner


def _label(template: str) -> str:
    left = _RIGHT_BRACES.sub("", template)
    if not {"{", "}"} & set(left):
        return template
    name = _PLACEHOLDER.search(left)
    wrong = (
        f"the placeholder {show_text(name[1])}; {did_you_mean(name[1], LABEL_FIELDS)}" if name else "a single brace; "
    )
    allowed = ", ".join(f"{{{field}}}" for field in LABEL_FIELDS)
    raise ValueError(f"{show_text(template)} has {wrong}allowed are {allowed}, and {{{{ and }}}} for braces")


def _source(name: str) -> str:
    if name not in SOURCES:
        raise ValueError(unknown(name, SOURCES))
    return name


def _field_name(name: str) -> str:
    if len(name) > LONGEST_FIELD:
        raise ValueError(f"is longer than {LONGEST_FIELD} characters")
    return name


def _owner(name: str) -> str:
    if len(name) > LONGEST_OWNER:
        raise ValueError(f"is longer than {LONGEST_OWNER} characters")
    return name


def _fields(value: object) -> FieldMap:
    """From the name of a preset, or from a table of names. Raises ValidationError for what is wrong in the table."""
    if isinstance(value, dict):
        return _own_fields(_FIELD_NAMES.validate_python(value))
    known = PRESETS.get(value) if isinstance(value, str) else None
    if known is None:
        meant = did_you_mean(value, PRESETS) if isinstance(value, str) else ""
        raise ValueError(f"is not known; {meant}allowed are {', '.join(PRESETS)}, or a table of names")
    return known


def _own_fields(names: dict[str, str]) -> FieldMap:
    sources: dict[str, list[str]] = {}
    for source in SOURCES:
        sources.setdefault(names.get(source, source), []).append(source)
    twice = [f"{show_text(name)} would hold both {' and '.join(of)}" for name, of in sources.items() if len(of) > 1]
    if twice:
        raise ValueError(f"{', '.join(twice)}; give each its own name")
    return field_map(names)


Text = Annotated[str, Field(min_length=1), AfterValidator(one_line)]
Word = Annotated[str, AfterValidator(_one_word)]
SecretWord = Annotated[InstanceOf[Secret], BeforeValidator(_secret)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]
Duration = Annotated[timedelta, _parsed(parse_duration, timedelta, "30d")]
Interval = Annotated[timedelta, _parsed(_interval, timedelta, "30d")]
"""Between two rotations: a duration, or ``never``."""

Cron = Annotated[str, _parsed(parse_cron, str, "0 3 1 * *")]
WindowText = Annotated[Window, _parsed(parse_window, Window, "02:00-05:00 Europe/Stockholm")]
RedisUrl = Annotated[InstanceOf[Secret], BeforeValidator(_redis_url)]

Address = Annotated[Text, AfterValidator(_address)]
"""Of a service, without a slash at its end; never quoted, as it may hold a password."""

VaultAddress = Annotated[Address, AfterValidator(_without_version)]

Region = Annotated[Text, AfterValidator(_region)]

QueueName = Annotated[Text, AfterValidator(_queue_name)]
"""Of a list in Redis; without a colon, so it is never one of our other keys."""

Name = Annotated[Text, AfterValidator(_name)]
"""Of a target; it is part of a path in Vault and of labels."""

VaultPath = Annotated[Text, AfterValidator(_path)]
"""A mount or a path in Vault, without slashes at its ends."""

Label = Annotated[Text, AfterValidator(_label)]
"""Any text with the placeholders ``{rotation_id}``, ``{date}`` and ``{target}``."""

Fields = Annotated[FieldMap, PlainValidator(_fields)]

FieldName = Annotated[Text, AfterValidator(_field_name)]
"""Of a field in an app's secret."""

Owner = Annotated[Text, AfterValidator(_owner)]
"""Who is told of a target: a team, a person, an address; any text."""

_FIELD_NAMES = TypeAdapter(dict[Annotated[str, AfterValidator(_source)], FieldName])
