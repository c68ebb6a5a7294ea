"""What is wrong with the configuration, in sentences: where it is, what is wrong with it, what is allowed instead.

Nothing stops at the first mistake: all are noted in :class:`Problems`, so that a person sees them at once.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from worker.errors import ConfigurationError

PROBLEMS_SHOWN = 200
"""More than these are counted only."""

_LONGEST_SHOWN = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "a text", list: "a list", dict: "a table"}
_SENTENCES = {
    "value_error": "{error}",
    "missing": "is missing; it is {purpose}",
    "string_too_short": "must not be empty",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number, not {kind}",
}
"""Our words for pydantic's errors, which quote no value; all others are about something that is not a text."""

SECRETS = (
    *("HOSTUP_API_KEY", "HOSTUP_BOOTSTRAP_KEY", "VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "REDIS_URL"),
    *("SENTRY_DSN", "ROTATOR_LEAK_WEBHOOK_SECRET"),
)
"""The variables that may also stand in a file, which the variable ``..._FILE`` names."""

_FROM_ENVIRONMENT = {
    "apikey": "HOSTUP_API_KEY",
    "hostupapikey": "HOSTUP_API_KEY",
    "bootstrapkey": "HOSTUP_BOOTSTRAP_KEY",
    "vaulttoken": "VAULT_TOKEN",
    "token": "VAULT_TOKEN",
    "tokenfile": "VAULT_TOKEN_FILE",
    "roleid": "VAULT_ROLE_ID",
    "secretid": "VAULT_SECRET_ID",
    "secretidwrapped": "VAULT_SECRET_ID_WRAPPED",
    "namespace": "VAULT_NAMESPACE",
    "cafile": "VAULT_CACERT",
    "cacert": "VAULT_CACERT",
    "password": "REDIS_URL",
}
"""Names that people look for in the file, without their underscores, and the variables that they are set by."""

T = TypeVar("T")


class Problems:
    """What is wrong, in the order it was found."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def note(self, where: str, what: str) -> None:
        """Add one problem: where it is, and what is wrong with what is allowed instead."""
        self._found.append(f"{where}: {what}")

    def attempt(self, read: Callable[[], T], otherwise: T) -> T:
        """What ``read`` returns; ``otherwise`` when it raises ConfigurationError, whose problems are added."""
        try:
            return read()
        except ConfigurationError as error:
            self._found += error.problems
            return otherwise

    def note_invalid(self, error: ValidationError, where: Callable[[str], str], model: type[BaseModel]) -> None:
        """Add what pydantic found wrong with the keys of a model; ``where`` says the place of a key."""
        for each in error.errors(include_url=False):
            keys = [str(part) for part in each["loc"] if part != "[key]"]
            self.note(where(".".join(map(show_key, keys))), _sentence(each, keys[0], model))

    def raise_any(self) -> None:
        """Raise ConfigurationError with all of them, if there are any."""
        if self._found:
            raise self.as_error()

    def as_error(self) -> ConfigurationError:
        """All of them; beyond :data:`PROBLEMS_SHOWN` they are counted only."""
        shown = self._found[:PROBLEMS_SHOWN]
        if len(self._found) > len(shown):
            shown.append(f"and {len(self._found) - len(shown)} more problems")
        return ConfigurationError(tuple(shown))


def entries_of(raw: object, where: str, each: str, problems: Problems, most: int | None = None) -> list[dict[str, Any]]:
    """The entries of an array of tables, such as ``[[target]]``; ``where`` ends in its name.

    None where it is something else, or stands there more often than ``most`` times, which is noted. ``each`` says what
    one of them is for.
    """
    if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
        problems.note(where, f"must be written [[{where.rpartition(' ')[2]}]], once for {each}")
        return []
    if most is not None and len(raw) > most:
        problems.note(where, f"stands there {len(raw)} times; at most {most} are allowed")
        return []
    return raw


def place_of_entry(where: str, number: int, entry: Mapping[str, object]) -> str:
    """Where the ``number``-th entry stands, with its name if it has one."""
    name = entry.get("name")
    return f"{where}[{number}]" + (f" {show_text(name)}" if isinstance(name, str) else "")


def unknown(name: str, known: Iterable[str]) -> str:
    """What to say of a name that does not exist. Its value is never shown: it may be a secret in the wrong place."""
    variable = _FROM_ENVIRONMENT.get(re.sub(r"[-_]", "", name).lower())
    if variable:
        or_file = f", or {variable}_FILE" if variable in SECRETS else ""
        return f"is not set in the file; set {variable} in the environment{or_file}"
    known = tuple(known)
    return f"is an unknown name; {did_you_mean(name, known)}allowed are {', '.join(known)}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The question after a likely slip, with a space behind it; empty when nothing is alike."""
    alike = difflib.get_close_matches(name, tuple(known), n=1)
    return f"did you mean {alike[0]}? " if alike else ""


def show_key(name: str) -> str:
    """A key as it is written in TOML, shortened."""
    return name if _BARE_KEY.fullmatch(name) and len(name) <= _LONGEST_SHOWN else show_text(name)


def show_text(text: str) -> str:
    """A text as it is written in TOML, shortened, and on one line whatever is in it."""
    short = text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
    return json.dumps(short, ensure_ascii=not short.isprintable())


def kind_of(value: object) -> str:
    """What TOML calls a value's type."""
    return _KINDS.get(type(value), "a date or time")


def _sentence(error: ErrorDetails, key: str, model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        return unknown(key, model.model_fields)
    sentence = _SENTENCES.get(error["type"], "must be a text in quotes on one line, not {kind}")
    return sentence.format(
        kind=kind_of(error["input"]),
        error=error.get("ctx", {}).get("error"),
        purpose=model.model_fields[key].description,
    )
