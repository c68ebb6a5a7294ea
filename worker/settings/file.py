"""The configuration file: found, read, and its tables taken apart key by key.

Nothing here stops at the first mistake: each is noted in :class:`Problems`, so that a person sees all of them at once.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import rtoml

from worker.errors import ConfigurationError

DEFAULT_PATH = Path("config/rotator.toml")

PROBLEMS_SHOWN = 200
"""More than these are counted only."""

_LONGEST_SHOWN = 60
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_FROM_ENVIRONMENT = {
    "apikey": "HOSTUP_API_KEY",
    "hostupapikey": "HOSTUP_API_KEY",
    "vaulttoken": "VAULT_TOKEN",
    "token": "VAULT_TOKEN",
    "tokenfile": "VAULT_TOKEN_FILE",
    "roleid": "VAULT_ROLE_ID",
    "secretid": "VAULT_SECRET_ID",
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

    def raise_any(self) -> None:
        """Raise ConfigurationError with all of them, if there are any."""
        if not self._found:
            return
        shown = self._found[:PROBLEMS_SHOWN]
        if len(self._found) > len(shown):
            shown.append(f"and {len(self._found) - len(shown)} more problems")
        raise ConfigurationError(tuple(shown))


def table_of(raw: Mapping[str, object], name: str, file: str, problems: Problems) -> Table:
    """One of the file's tables by name; empty when it is missing or, with a problem noted, no table."""
    value = raw.get(name, {})
    if not isinstance(value, dict):
        problems.note(f"{file}: {name}", f"must be a table, written [{name}]")
        value = {}
    return Table(value, f"{file}: [{name}] ", problems)


class Table:
    """One table of the file; ``where`` stands before a key in problems. A key is known by being asked for."""

    def __init__(self, raw: Mapping[str, object], where: str, problems: Problems) -> None:
        self._raw = raw
        self._where = where
        self._problems = problems
        self._known: list[str] = []

    def get(self, name: str, parse: Callable[[object], T], default: T) -> T:
        """The value of a key, or the default where it is missing or, with a problem noted, wrong."""
        self._known.append(name)
        value = self._raw.get(name)
        if value is None:  # TOML has no null
            return default
        try:
            return parse(value)
        except ValueError as error:
            self.note(name, str(error))
            return default

    def need(self, name: str, parse: Callable[[object], T], purpose: str) -> T | None:
        """The value of a key that must be there; None where, with a problem noted, it is missing or wrong."""
        if name not in self._raw:
            self.note(name, f"is missing; it is {purpose}")
        return self.get(name, parse, None)

    def has(self, name: str) -> bool:
        """Whether a key is there, right or wrong."""
        return name in self._raw

    def inner(self, name: str) -> Table | None:
        """The table that a key holds; None when it holds something else, or is missing."""
        value = self._raw.get(name)
        if not isinstance(value, dict):
            return None
        self._known.append(name)
        return Table(value, f"{self._where}{name}.", self._problems)

    def note(self, name: str, what: str) -> None:
        """Note a problem with one key."""
        self._problems.note(self._where + name, what)

    def refuse_others(self) -> None:
        """Note every key that nobody has asked for."""
        if len(self._known) >= len(self._raw) and self._raw.keys() <= set(self._known):
            return
        for name in self._raw:
            if name not in self._known:
                self.note(show_key(name), unknown(name, self._known))


def find_file(given: Path | None, env: Mapping[str, str]) -> Path:
    """Which file is to be read: the one given, else ``ROTATOR_CONFIG``, else ``config/rotator.toml``."""
    if given is not None:
        return given
    return Path(env["ROTATOR_CONFIG"]) if env.get("ROTATOR_CONFIG") else DEFAULT_PATH


def read_file(path: Path, problems: Problems) -> Mapping[str, object] | None:
    """The file's content; None, with a problem noted, when it cannot be had."""
    try:
        return rtoml.loads(path.read_bytes().decode())
    except FileNotFoundError:
        problems.note(str(path), "does not exist; give --config, or set ROTATOR_CONFIG, or start where it is")
    except OSError as error:
        problems.note(str(path), f"cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        problems.note(str(path), f"is not UTF-8: see byte {error.start}")
    except ValueError as error:  # rtoml.TomlParsingError
        problems.note(str(path), f"is not valid TOML: {error}")
    return None


def unknown(name: str, known: Iterable[str]) -> str:
    """What to say of a name that does not exist. Its value is never shown: it may be a secret in the wrong place."""
    variable = _FROM_ENVIRONMENT.get(re.sub(r"[-_]", "", name).lower())
    if variable:
        return f"is not set in the file; set {variable} in the environment, or {variable.removesuffix('_FILE')}_FILE"
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
