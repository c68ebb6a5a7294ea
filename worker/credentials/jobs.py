"""What ``rotator render`` is to write: from arguments, or several from a TOML file."""

from __future__ import annotations

import grp
import pwd
import shlex
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.credentials.environment import DEFAULT_MOUNT, Place, place_at
from worker.credentials.files import FORMS, PAIR
from worker.credentials.placing import Access
from worker.credentials.telling import Command, Signal, Tell, signal_named
from worker.errors import ConfigurationError, UsageError

_MODES = 0o777
_NEEDED, _FORBIDDEN = 0o400, 0o002
_NOBODY = 2**32 - 1
"""What the kernel takes for no user."""
_TEXTS = ("path", "mount", "fields", "format", "to", "mode", "owner", "signal", "pid_file", "exec")
FORMATS = (*sorted(FORMS), PAIR)


@dataclass(frozen=True, slots=True)
class Job:
    """One secret in one form at one place; ``tell`` is what happens after a change."""

    place: Place
    form: str
    to: Path
    access: Access
    tell: Tell | None


def job(place: Place, wanted: Mapping[str, str]) -> Job:
    """A job from texts by the names of options: format, to, mode, owner, signal, pid_file, exec.

    Raises UsageError.
    """
    form = wanted.get("format") or "aws"
    if form not in FORMATS:
        raise UsageError(f"{form[:32]!r} is no format", hint=f"One of {', '.join(FORMATS)}.")
    to = Path(wanted.get("to") or "")
    if not to.name or to.name == "..":
        raise UsageError("where to write is not named", hint="Name a file by --to, or for the format pair a folder.")
    return Job(place, form, to, _access(wanted.get("mode") or "0600", wanted.get("owner") or ""), _tell(wanted))


def jobs_in(file: Path) -> list[Job]:
    """The ``[[file]]`` tables of a TOML file (docs/apps.md). Raises ConfigurationError with all that is wrong."""
    try:
        tables = tomllib.loads(file.read_text("utf-8")).get("file")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ConfigurationError((f"{file}: cannot be read: {why}",)) from None
    if not isinstance(tables, list) or not tables:
        raise ConfigurationError((f"{file}: holds no [[file]]",))
    found, problems = [], []
    for number, table in enumerate(tables, 1):
        try:
            found.append(_job_of(table))
        except UsageError as error:
            problems.append(f"{file}: [[file]] {number}: {error}")
    places = [each.to for each in found]
    problems += [f"{file}: two [[file]] are for {to}" for to in sorted(set(places)) if places.count(to) > 1]
    if problems:
        raise ConfigurationError(tuple(problems))
    return found


def _job_of(table: object) -> Job:
    if not isinstance(table, dict):
        raise UsageError("is no table", hint="Write [[file]], with two brackets.")
    words = table.get("exec")
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        table = {**table, "exec": shlex.join(words)}
    odd = [name for name, value in table.items() if name not in _TEXTS or not isinstance(value, str)]
    if odd:
        raise UsageError(f"{odd[0][:32]!r} is no text, or no such setting", hint=f"There are {', '.join(_TEXTS)}.")
    return job(place_at(table.get("path", ""), table.get("mount", DEFAULT_MOUNT), table.get("fields", "")), table)


def _access(mode: str, owner: str) -> Access:
    try:
        number = int(mode, 8)
    except ValueError:
        number = -1
    if not 0 < number <= _MODES or not number & _NEEDED or number & _FORBIDDEN:
        hint = "Such as 0600, or 0640 for a group; its owner has to be able to read it, and not everybody to write."
        raise UsageError(f"{mode[:32]!r} is no mode of a file with a key", hint=hint)
    user, _, group = owner.partition(":")
    return Access(number, _uid(user), _gid(group))


def _uid(name: str) -> int:
    return _number("user", name, lambda: pwd.getpwnam(name).pw_uid)


def _gid(name: str) -> int:
    return _number("group", name, lambda: grp.getgrnam(name).gr_gid)


def _number(kind: str, name: str, look_up: Callable[[], int]) -> int:
    if not name:
        return -1
    try:
        number = int(name) if name.isdecimal() else look_up()
    except (KeyError, ValueError):
        number = _NOBODY
    if number >= _NOBODY:
        raise UsageError(f"there is no {kind} {name[:32]!r} on this machine", hint="Check --owner.")
    return number


def _tell(wanted: Mapping[str, str]) -> Tell | None:
    number, pid_file, command = (wanted.get(name) or "" for name in ("signal", "pid_file", "exec"))
    if bool(number) != bool(pid_file) or (number and command):
        raise UsageError(
            "how to tell the program of a change is not clear", hint="Either --signal with --pid-file, or --exec."
        )
    if number:
        return Signal(signal_named(number), Path(pid_file))
    try:
        words = tuple(shlex.split(command))
    except ValueError:
        raise UsageError("--exec: a quotation mark is not closed", hint="It is read as a shell reads words.") from None
    return Command(words) if words else None
