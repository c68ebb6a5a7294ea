"""The secrets of channels: each in a file or in a variable that ``[[notify]]`` names, never in the file itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from worker.secret import Secret
from worker.settings.address import address_problem
from worker.settings.credential import Credential, no_logs
from worker.settings.value_file import read_value
from worker.settings.values import secret_word

Parse = Callable[[str], Secret]


class Names(NamedTuple):
    """Where a secret is: a file, or a variable."""

    file: str | None
    env: str | None


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was read first, the file that it is in, if it is, and what makes a value of what that holds."""

    value: Secret
    file: Path | None
    name: str
    parse: Parse
    is_secret: bool = True

    def credential(self, on_new: Callable[[Secret], None] = no_logs) -> Credential:
        """The value, read again whenever its file changes; ``on_new`` is given what comes up."""
        return Credential(self.value, self.file, self.name, parse=self.parse, on_new=on_new)


def keys_of(what: str) -> tuple[str, str, str]:
    """The keys of a setting that may be secret: itself, as a file, as a variable."""
    return what, f"{what}_file", f"{what}_env"


def given_secret(what: str, names: Names, parse: Parse, env: Mapping[str, str] | None) -> Given | None:
    """A secret where it is named; with ``env`` None it is not read. Raises ValueError, which begins with the key."""
    _, in_file, in_env = keys_of(what)
    if names.file and names.env:
        raise ValueError(f"{in_file}: stands beside {in_env}; leave one of them out")
    if names.env:
        return Given(_read(in_env, lambda: (env or {}).get(names.env or "", ""), parse, env), None, in_env, parse)
    if names.file is None:
        return None
    file = Path(names.file)
    if not file.is_absolute():
        raise ValueError(f"{in_file}: must be an absolute path")
    return Given(_read(in_file, lambda: read_value(file), parse, env), file, f"{what}_file", parse)


def hook_address(text: str) -> Secret:
    """The address of a webhook; what is behind a ``?`` may be a secret of it. Raises ValueError."""
    secret = secret_word(text)
    if problem := address_problem(text.partition("?")[0]):
        raise ValueError(problem)
    return secret


def _read(key: str, read: Callable[[], str], parse: Parse, env: Mapping[str, str] | None) -> Secret:
    if env is None:
        return Secret("")
    try:
        value = read()
        if not value:
            raise ValueError("names a variable that is not set")  # noqa: TRY301 - told with the key, as all others are
        return parse(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
