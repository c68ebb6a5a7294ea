"""What a secret scanner may send to the leak webhook. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MOST_KEYS = 100
LONGEST_KEY = 128
LONGEST_WHERE = 4_000

FORM = f"""{{"access_keys": ["..."], "where": "optional"}} is wanted, with 1 to {MOST_KEYS} access keys"""

_CONFIG = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)
_Key = Annotated[str, Field(min_length=1, max_length=LONGEST_KEY)]
_Where = Annotated[str, Field(max_length=LONGEST_WHERE)]


class WrongForm(Exception):
    """What was sent is no report; its text says what is wanted."""


@dataclass(frozen=True, slots=True)
class Found:
    """An access key, and where somebody found it."""

    access_key: str
    where: str


class _Report(BaseModel):
    model_config = _CONFIG

    access_keys: Annotated[list[_Key], Field(min_length=1, max_length=MOST_KEYS)]
    where: _Where = ""


class _Match(BaseModel):
    """As GitHub's secret scanning tells its partners of one."""

    model_config = _CONFIG

    token: _Key
    url: _Where = ""


_FORMS: TypeAdapter[_Report | list[_Match]] = TypeAdapter(
    _Report | Annotated[list[_Match], Field(min_length=1, max_length=MOST_KEYS)]
)


def read_report(body: bytes) -> tuple[Found, ...]:
    """The keys that a report names, each once. Raises WrongForm."""
    try:
        report = _FORMS.validate_json(body)
    except ValidationError:  # it would quote what was sent
        raise WrongForm(FORM) from None
    if isinstance(report, _Report):
        found = [Found(access_key, report.where) for access_key in report.access_keys]
    else:
        found = [Found(match.token, match.url) for match in report]
    return tuple({each.access_key: each for each in reversed(found)}.values())[::-1]
