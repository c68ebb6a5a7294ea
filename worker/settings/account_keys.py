"""Where the keys of a further account come from: a variable with the account's name behind it, or a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from worker.secret import Secret
from worker.settings.environment import WHERE
from worker.settings.hostup import API_KEY
from worker.settings.problems import Problems
from worker.settings.value_file import read_value
from worker.settings.values import secret_word
from worker.targets.account import DEFAULT_ACCOUNT


@dataclass(frozen=True, slots=True)
class GivenKey:
    """A key, and the file that it was read from; ``place`` is what people call that file by."""

    value: Secret | None
    file: Path | None
    place: str


@dataclass(frozen=True, slots=True)
class KeySource:
    """How one key of an account may be given. ``base`` is what its variable begins with, ``key`` that of the file.

    ``instead``: what else stands for the key, by its name in the file, where that is set.
    """

    account: str
    base: str
    key: str
    file: Path | None
    instead: Mapping[str, object]

    def read(self, where: str, env: Mapping[str, str], problems: Problems) -> GivenKey:
        """What was given; two ways, and a value that cannot be used, are noted in ``problems``."""
        variable = variable_of(self.account, self.base)
        variable_file = f"{variable}_FILE"
        own = {variable: env.get(variable), variable_file: env.get(variable_file), self.key: self.file}
        named = [name for name, value in {**own, **self.instead}.items() if value]
        if len(named) > 1:
            problems.note(f"{where}: {named[-1]}", f"stands beside {named[0]}; give one {self._what} only")
        elif self.file:
            key = _from_file(self.file, f"{where}: {self.key}", problems)
            return GivenKey(key, self.file, f"{self.key} of account {self.account}")
        elif env.get(variable_file):
            file = Path(env[variable_file])
            return GivenKey(_from_file(file, f"{WHERE}: {variable_file}", problems), file, variable_file)
        elif env.get(variable):
            return GivenKey(_word(env[variable], f"{WHERE}: {variable}", problems), None, variable_file)
        return GivenKey(None, None, variable_file)

    @property
    def _what(self) -> str:
        return "API key" if self.base == API_KEY else "bootstrap key"


def variable_of(account: str, base: str = API_KEY) -> str:
    """The variable that holds an account's key; with ``_FILE`` behind it, the one that names a file."""
    return base if account == DEFAULT_ACCOUNT else f"{base}_{re.sub('[-.]', '_', account).upper()}"


def api_key_words(account: str) -> str:
    """Where the API key of an account may come from, in words."""
    variable = variable_of(account)
    if account == DEFAULT_ACCOUNT:
        return f"{variable}, or api_key_path in Vault"
    return f"{variable}, or api_key_file or api_key_path of [[account]] {account}"


def _from_file(file: Path, where: str, problems: Problems) -> Secret | None:
    try:
        return secret_word(read_value(file))
    except ValueError as error:
        problems.note(where, str(error))
        return None


def _word(value: str, where: str, problems: Problems) -> Secret | None:
    try:
        return secret_word(value)
    except ValueError as error:
        problems.note(where, str(error))
        return None
