"""What the environment sets: secrets, each also as a file, and the addresses that go with them.

A variable that is empty counts as not set, because compose files hand on empty ones; a secret file that is empty is a
mistake. No value of a secret ever stands in a problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from worker.errors import ConfigurationError
from worker.settings.problems import SECRETS, Problems
from worker.settings.value_file import read_value

WHERE = "environment"
"""What problems with variables are noted under."""

M = TypeVar("M", bound=BaseModel)


class Need(Flag):
    """Which logins a command cannot do without (NOTICES: of ``[[notify]]``). Redis and addresses are always needed."""

    NOTHING = 0
    HOSTUP = auto()
    VAULT = auto()
    NOTICES = auto()


@dataclass(frozen=True, slots=True)
class Variable:
    """Marks a setting that this variable sets.

    With an ``example`` the configuration file may set it, too, and one of both must. Without, the file must not.
    """

    name: str
    example: str = ""


def variables(model: type[BaseModel]) -> dict[str, Variable]:
    """The settings of a model that the environment sets, by their keys."""
    marked = ((key, mark) for key, field in model.model_fields.items() for mark in field.metadata)
    return {key: mark for key, mark in marked if isinstance(mark, Variable)}


def is_set(name: str, env: Mapping[str, str]) -> bool:
    """Whether a variable is set, right or wrong, itself or as the file that holds its value."""
    return bool(env.get(place_of(name, env)))


def read_environment(model: type[M], env: Mapping[str, str], problems: Problems) -> M:
    """What the environment sets of a model; the defaults where, with problems noted, something is wrong."""
    named = {key: variable.name for key, variable in variables(model).items()}
    found = {key: problems.attempt(partial(_value, name, env), "") for key, name in named.items()}
    try:
        return model.model_validate({key: value for key, value in found.items() if value})
    except ValidationError as error:
        problems.note_invalid(error, lambda key: f"{WHERE}: {place_of(named[key], env)}", model)
        return model()


def unknown_variables(model: type[BaseModel], prefix: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """What is set and begins so, and that nobody reads: somebody may count on it. ``prefix`` has no ``_`` at its end.

    Kubernetes sets some such for every service of that name; those say nothing.
    """
    known = {variable.name for variable in variables(model).values()}
    known |= {f"{name}_FILE" for name in known & {*SECRETS}} | {f"{prefix}_BIN"}
    by_kubernetes = (f"{prefix}_SERVICE_", f"{prefix}_PORT")
    named = (name for name, value in env.items() if name.startswith(f"{prefix}_") and value and name not in known)
    return tuple(sorted(name for name in named if not name.startswith(by_kubernetes)))


def place_of(name: str, env: Mapping[str, str]) -> str:
    """The variable that sets what ``name`` stands for: itself, or the one that names a file."""
    return f"{name}_FILE" if name in SECRETS and env.get(f"{name}_FILE") else name


def _value(name: str, env: Mapping[str, str]) -> str:
    """A variable's value, or what its file holds without the line's end; empty when it is not set.

    Raises ConfigurationError.
    """
    place = place_of(name, env)
    if place == name:
        return env.get(name, "")
    if env.get(name):
        raise ConfigurationError((f"{WHERE}: {name}: is set, and {place} too; leave one of them out",))
    try:
        return read_value(Path(env[place]))
    except ValueError as error:
        raise ConfigurationError((f"{WHERE}: {place}: {error}",)) from None
