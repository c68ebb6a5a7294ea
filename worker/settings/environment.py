"""What the environment sets: secrets, each also as a file, and the addresses that go with them.

A variable that is empty counts as not set, because compose files hand on empty ones; a secret file that is empty is a
mistake. No value of a secret ever stands in a problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Flag, auto
from pathlib import Path

from worker.secret import Secret
from worker.settings.address import address_problem
from worker.settings.file import Problems
from worker.settings.redis_url import redis_problem

WHERE = "environment"
"""What problems with variables are noted under."""

_LONGEST_SECRET = 8192
_TRUE = ("true", "1", "yes")
_FALSE = ("false", "0", "no", "")


class Need(Flag):
    """Which logins a command cannot do without. Redis and the addresses are always needed."""

    NOTHING = 0
    HOSTUP = auto()
    VAULT = auto()


@dataclass(frozen=True, slots=True)
class Environment:
    """The variables, read and checked: None or False for what is not set or wrong.

    ``given`` names those that are set, themselves or as ``..._FILE``, right or wrong.
    """

    given: frozenset[str]
    hostup_api_key: Secret | None
    vault_address: str | None
    vault_namespace: str | None
    vault_ca_file: Path | None
    vault_token: Secret | None
    vault_token_file: Path | None
    vault_role_id: Secret | None
    vault_secret_id: Secret | None
    vault_secret_id_wrapped: bool
    redis_url: Secret | None


def read_environment(env: Mapping[str, str], problems: Problems) -> Environment:
    """Read all variables; what is wrong is noted in ``problems``."""
    reader = _Reader(env, problems)
    return Environment(
        given=frozenset(name.removesuffix("_FILE") for name, value in env.items() if value),
        hostup_api_key=reader.secret("HOSTUP_API_KEY"),
        vault_address=reader.address("VAULT_ADDR"),
        vault_namespace=reader.plain("VAULT_NAMESPACE"),
        vault_ca_file=reader.file("VAULT_CACERT"),
        vault_token=reader.given("VAULT_TOKEN"),
        vault_token_file=reader.secret_file("VAULT_TOKEN_FILE"),
        vault_role_id=reader.secret("VAULT_ROLE_ID"),
        vault_secret_id=reader.secret("VAULT_SECRET_ID"),
        vault_secret_id_wrapped=reader.flag("VAULT_SECRET_ID_WRAPPED"),
        redis_url=reader.redis_url("REDIS_URL"),
    )


def check_logins(given: frozenset[str], needs: Need, problems: Problems) -> None:
    """See that the logins that are needed are given, and that there is one way to log in to Vault, not two."""
    if Need.HOSTUP in needs and "HOSTUP_API_KEY" not in given:
        problems.note(f"{WHERE}: HOSTUP_API_KEY", "is missing; set it, or HOSTUP_API_KEY_FILE to a file that holds it")
    approle = given & {"VAULT_ROLE_ID", "VAULT_SECRET_ID"}
    if "VAULT_TOKEN" in given and approle:
        problems.note(f"{WHERE}: VAULT_TOKEN", f"is set beside {min(approle)}; leave out one of the two ways to log in")
    elif len(approle) == 1:
        lacking = "VAULT_SECRET_ID" if "VAULT_ROLE_ID" in approle else "VAULT_ROLE_ID"
        problems.note(
            f"{WHERE}: {lacking}", f"is missing beside {min(approle)}; AppRole needs both (or their ..._FILE)"
        )
    elif Need.VAULT in needs and "VAULT_TOKEN" not in given and not approle:
        ways = "VAULT_TOKEN, VAULT_TOKEN_FILE, or VAULT_ROLE_ID and VAULT_SECRET_ID (or their ..._FILE)"
        problems.note(f"{WHERE}: VAULT_TOKEN", f"is missing; to log in to Vault set {ways}")


class _Reader:
    """Takes variables out of the environment, and notes what is wrong with them."""

    def __init__(self, env: Mapping[str, str], problems: Problems) -> None:
        self._env = env
        self._problems = problems

    def plain(self, name: str) -> str | None:
        """A text that is no secret, such as a namespace."""
        value = self._env.get(name) or None
        if value and not value.isprintable():
            self._note(name, "must not hold line breaks or other control characters")
            return None
        return value

    def flag(self, name: str) -> bool:
        """A switch."""
        value = self._env.get(name, "").lower()
        if value not in (*_TRUE, *_FALSE):
            self._note(name, "must be true or false")
        return value in _TRUE

    def address(self, name: str) -> str | None:
        """The address of a service."""
        value = self._env.get(name) or None
        problem = address_problem(value) if value else None
        if problem:
            self._note(name, problem)
        return value.rstrip("/") if value and not problem else None

    def file(self, name: str) -> Path | None:
        """A file that can be read."""
        path = self._path(name)
        return path if path and self._read(name, path) is not None else None

    def secret(self, name: str) -> Secret | None:
        """A secret, from the variable or from the file that the variable ``..._FILE`` names."""
        if self._twice(name):
            return None
        path = self._path(f"{name}_FILE")
        return self._from_file(f"{name}_FILE", path) if path else self.given(name)

    def given(self, name: str) -> Secret | None:
        """A secret from the variable itself."""
        value = self._env.get(name)
        return self._checked(name, value) if value else None

    def secret_file(self, name: str) -> Path | None:
        """The file of a secret that is read again whenever it changes; here it is only seen that it can be."""
        if self._twice(name.removesuffix("_FILE")):
            return None
        path = self._path(name)
        return path if path and self._from_file(name, path) else None

    def redis_url(self, name: str) -> Secret | None:
        """The address of Redis, which may hold a password and is therefore a secret as a whole."""
        url = self.secret(name)
        problem = redis_problem(url) if url else None
        if problem:
            self._note(name, problem)
        return None if problem else url

    def _twice(self, name: str) -> bool:
        both = bool(self._env.get(name) and self._env.get(f"{name}_FILE"))
        if both:
            self._note(name, f"is set, and {name}_FILE too; leave one of them out")
        return both

    def _path(self, name: str) -> Path | None:
        value = self.plain(name)
        return Path(value) if value else None

    def _from_file(self, name: str, path: Path) -> Secret | None:
        content = self._read(name, path)
        if content is None:
            return None
        value = content.removesuffix("\n").removesuffix("\r")
        if not value:
            self._note(name, f"{_shown(path)} is empty")
        return self._checked(name, value) if value else None

    def _read(self, name: str, path: Path) -> str | None:
        try:
            return path.read_text("utf-8")
        except OSError as error:
            self._note(name, f"{_shown(path)} cannot be read: {error.strerror}")
        except UnicodeDecodeError:
            self._note(name, f"{_shown(path)} is not text")
        return None

    def _checked(self, name: str, value: str) -> Secret | None:
        # what else there is cannot be sent in a header, and the error about that would quote it
        if value.isascii() and value.isprintable() and " " not in value and len(value) <= _LONGEST_SECRET:
            return Secret(value)
        self._note(name, f"must be one word of at most {_LONGEST_SECRET} characters, all of them visible ASCII")
        return None

    def _note(self, name: str, what: str) -> None:
        self._problems.note(f"{WHERE}: {name}", what)


def _shown(path: Path) -> str:
    """The path, unless it might be the secret itself, set as ..._FILE by mistake."""
    return str(path) if path.is_absolute() else "the file (with a relative path)"
