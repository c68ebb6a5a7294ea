"""The destinations of the configuration: ``[[destination]]``, further mounts and Vaults for copies of apps' secrets.

A destination's variables are those of ``[vault]`` with its name behind: ``VAULT_TOKEN_EU``, ``VAULT_TOKEN_EU_FILE``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from worker.errors import ConfigurationError
from worker.secret import Secret
from worker.settings.address import is_this_machine
from worker.settings.environment import WHERE, Need, is_set, read_environment, variables
from worker.settings.logins import check_logins
from worker.settings.problems import SECRETS, Problems, entries_of
from worker.settings.proxies import login_secrets
from worker.settings.values import STRICT, Name, Text, VaultAddress, VaultPath
from worker.settings.vault import VaultSettings
from worker.targets.location import HOME

MOST = 32

_LOGIN = ("VAULT_TOKEN", "VAULT_ROLE_ID", "VAULT_SECRET_ID", "VAULT_AUTH_METHOD")
_VARIABLE = re.compile(r"\bVAULT_[A-Z][A-Z_]*[A-Z]\b")
_WAY = ("ca_file", "ca_path", "proxy")
"""What another Vault takes over from [vault] where it sets nothing of its own: whom to trust, and the way there."""

_SAME = (*_WAY, "client_cert", "client_key", "tls_server_name")
"""What the same Vault takes over."""

_LOGIN_KEYS = (
    "auth_method",
    "auth_role",
    "jwt_file",
    "token",
    "token_file",
    "role_id",
    "role_id_file",
    "secret_id",
    "secret_id_file",
    "secret_id_wrapped",
    "secret_id_num_uses",
)


class DestinationEntry(BaseModel):
    """One ``[[destination]]``."""

    model_config = STRICT

    name: Name = Field(description="what targets call it in also")
    mount: VaultPath = "secret"
    address: VaultAddress | None = None
    namespace: Text | None = None
    approle_mount: VaultPath = "approle"
    kubernetes_mount: VaultPath = "kubernetes"
    jwt_mount: VaultPath = "jwt"


@dataclass(frozen=True, slots=True)
class DestinationSettings:
    """A mount for copies. ``vault`` is where it is and how to log in.

    ``shares_login``: by the login of [vault], and the connections to it.
    """

    name: str
    vault: VaultSettings
    shares_login: bool

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret in here; for redaction."""
        proxy = login_secrets(self.vault.proxy.reveal()) if self.vault.proxy else ()
        return (*(secret for secret in (self.vault.token, self.vault.secret_id) if secret), *proxy)


def read_destinations(
    file: str, raw: object, vault: VaultSettings, env: Mapping[str, str], needs: Need, problems: Problems
) -> dict[str, DestinationSettings]:
    """All destinations by name, from the file's ``destination``; what is wrong is noted in ``problems``."""
    found: dict[str, DestinationSettings] = {}
    taken = dict.fromkeys(_all_variables(""), "[vault]")
    for number, entry in enumerate(entries_of(raw, f"{file}: destination", "each", problems, MOST), 1):
        where = f"{file}: destination[{number}] "
        try:
            checked = DestinationEntry.model_validate(entry)
        except ValidationError as error:
            problems.note_invalid(error, partial("{}{}".format, where), DestinationEntry)
            continue
        clash = next((taken[name] for name in _all_variables(checked.name) if name in taken), None)
        if clash:
            problems.note(f"{where}name", f"{checked.name} would have variables of the names that {clash} has")
            continue
        taken |= dict.fromkeys(_all_variables(checked.name), checked.name)
        found[checked.name] = _with_login(checked, vault, env, needs, problems)
    return found


def roots_of(vault: VaultSettings, destinations: Mapping[str, DestinationSettings], raw: object) -> dict[str, str]:
    """The mounts by the names of their destinations; also of those with which something is wrong, which is told."""
    wrong = [entry.get("name") for entry in raw if isinstance(entry, dict)] if isinstance(raw, list) else []
    roots = {name: f"?{name}" for name in wrong if isinstance(name, str)}
    roots |= {name: root_of(each.vault) for name, each in destinations.items()}
    return roots | {HOME: root_of(vault)}


def root_of(vault: VaultSettings) -> str:
    """A mount however it is spelled: where its Vault is, the namespace and the mount.

    A namespace may stand in front of the mount as well, as Vault has it. Two names of one host are not known as such.
    """
    parts = urlsplit(vault.address)
    host = (parts.hostname or "").lower().rstrip(".")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    namespace = (vault.namespace or "").strip("/")
    inside = [part for part in ("" if namespace == "root" else namespace, vault.mount) if part]
    return f"{'localhost' if is_this_machine(host) else host}:{port}/{'/'.join(inside)}"


def known_variables(names: Iterable[str]) -> frozenset[str]:
    """Every variable that is read for destinations of these names."""
    return frozenset(variable for name in names for variable in _all_variables(name))


def _all_variables(name: str) -> Collection[str]:
    own = {variable.name for variable in variables(VaultSettings).values()}
    own |= {f"{variable}_FILE" for variable in own & {*SECRETS}}
    return sorted(_variable(variable, name) for variable in own)


def _variable(variable: str, name: str) -> str:
    """The variable of a destination that stands for one of [vault]: ``_FILE`` of a secret stays at its end."""
    if not name:
        return variable
    suffix = re.sub(r"[-.]", "_", name).upper()
    bare = variable.removesuffix("_FILE")
    return f"{bare}_{suffix}_FILE" if bare != variable and bare in SECRETS else f"{variable}_{suffix}"


def _with_login(
    entry: DestinationEntry, vault: VaultSettings, env: Mapping[str, str], needs: Need, problems: Problems
) -> DestinationSettings:
    """A destination with what its variables say."""
    own_env = {name: env.get(_variable(name, entry.name), "") for name in _all_variables("")}
    own_problems = Problems()
    has_login = any(is_set(name, own_env) for name in _LOGIN)
    check_logins(own_env, needs & Need.VAULT if has_login else Need.NOTHING, own_problems)
    own = read_environment(VaultSettings, own_env, own_problems)
    problems.attempt(partial(_raise_renamed, own_problems, entry.name), None)
    address = own.address or entry.address or vault.address
    same = _is_the_same(address, vault.address)
    if not has_login and not same and Need.VAULT in needs:
        token = _variable("VAULT_TOKEN", entry.name)
        what = f"is missing; to log in to the Vault of the destination {entry.name} set it, or {token}_FILE, or others"
        problems.note(
            f"{WHERE}: {token}", f"{what} of those of [vault] with {token.removeprefix('VAULT_TOKEN')} behind"
        )
    taken_over = {key: getattr(vault, key) for key in (_SAME if same else _WAY) if getattr(own, key) is None}
    shares = same and not has_login  # what [vault] logs in with is never sent to another Vault
    login = {key: getattr(vault, key) for key in _LOGIN_KEYS} if shares else {}
    given = {key: getattr(entry, key) for key in ("mount", "approle_mount", "kubernetes_mount", "jwt_mount")}
    namespace = own.namespace or entry.namespace or (vault.namespace if same else None)
    if own.token_file:  # it is read again whenever it changes; here it was only seen that it can be
        given["token"] = None
    settings = own.model_copy(update={**taken_over, **login, **given, "address": address, "namespace": namespace})
    return DestinationSettings(entry.name, settings, shares_login=shares)


def _raise_renamed(problems: Problems, name: str) -> None:
    """The same problems, with the variables of a destination in them. Raises ConfigurationError, if there are any."""
    try:
        problems.raise_any()
    except ConfigurationError as error:
        texts = tuple(_VARIABLE.sub(lambda found: _variable(found[0], name), text) for text in error.problems)
        raise ConfigurationError(texts) from None


def _is_the_same(address: str, other: str) -> bool:
    if not address or not other:
        return address == other
    return root_of(VaultSettings(address=address)) == root_of(VaultSettings(address=other))
