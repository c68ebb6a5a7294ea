"""Ways to a Vault token: a token, or a file that Vault Agent rewrites; AppRole is in :mod:`.approle`.

What holds the token afterwards, renews and replaces it, is :mod:`worker.adapters.vault.token`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from worker.adapters.http.engine import TlsFiles
from worker.adapters.vault.adapter import CallFailed, HvacClient
from worker.adapters.vault.errors import Ask, as_error, is_invalid_token, part, whole
from worker.errors import VaultLoginFailed
from worker.secret import Secret
from worker.settings.proxies import Proxies

OpenClient = Callable[[str], HvacClient]
"""Makes the client for one token; an empty token makes one that sends none."""

FileState = tuple[int, int, int]
"""What changes when somebody writes a file, or puts another one in its place."""

LOOKUP = Ask("look up", "auth/token/lookup-self", ("read",))
_LONGEST_TOKEN = 8192


@dataclass(frozen=True, slots=True)
class VaultAccess:
    """Where Vault is and how to log in: by ``token``, else ``token_file``, else AppRole.

    ``secret_id_wrapped`` says that ``secret_id`` is a response-wrapping token; one that looks like a token is asked
    about at Vault in any case. ``secret_id_file`` is where ``secret_id`` was read, and is read again once it has
    changed. ``ca_file`` is trusted instead of the system's authorities; ``tls`` tells the same and more, instead.
    """

    address: str
    namespace: str | None = None
    ca_file: Path | None = None
    token: Secret | None = None
    token_file: Path | None = None
    role_id: str | None = None
    secret_id: Secret | None = None
    secret_id_file: Path | None = None
    secret_id_wrapped: bool = False
    approle_mount: str = "approle"
    tls: TlsFiles | None = None
    proxies: Proxies = field(default_factory=Proxies)


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What Vault says of the token in use, as it was when it was asked.

    ``ttl`` is in seconds; 0 never ends (a root token); None is not known, as the token may not look itself up.
    ``accessor`` names the token in Vault's audit log without being one.
    """

    method: str
    accessor: str | None
    policies: tuple[str, ...]
    ttl: int | None
    renewable: bool


@dataclass(frozen=True, slots=True)
class Login:
    """One way's result: the client that has the token, facts, and the token's full ``lease`` in seconds (0: none).

    ``ours``: the token was made for this process alone, which revokes it when it ends.
    """

    client: HvacClient = field(repr=False)
    facts: TokenFacts
    lease: int
    ours: bool = False


class TokenSource(Protocol):
    """A way to a token; used by one thread at a time."""

    def log_in(self) -> Login:
        """Get a token. Raises VaultLoginFailed (a clear no) or VaultUnavailable."""
        ...

    def changed(self) -> bool:
        """Whether there is a newer token to be had than the last one; costs next to nothing."""
        ...


class GivenToken:
    """A token from the settings."""

    def __init__(self, open_client: OpenClient, token: Secret) -> None:
        self._open = open_client
        self._token = token

    def log_in(self) -> Login:
        """See :class:`TokenSource`."""
        return adopt(self._open, self._token.reveal(), "token")

    def changed(self) -> bool:
        """Never."""
        return False


class TokenFile:
    """A file with a token in it, which Vault Agent (a ``file`` sink) rewrites when it has a new one."""

    def __init__(self, open_client: OpenClient, path: Path) -> None:
        self._open = open_client
        self._path = path
        self._seen: FileState | None = None

    def log_in(self) -> Login:
        """See :class:`TokenSource`."""
        self._seen = look_at(self._path)  # before reading: a change in between is seen next time
        try:
            token = self._path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise VaultLoginFailed(
                f"the token file {self._path} cannot be read", hint="Check VAULT_TOKEN_FILE and Vault Agent's sink."
            ) from None
        return adopt(self._open, token, f"token file {self._path}")

    def changed(self) -> bool:
        """Whether the file is another than the one that was read, or is gone since."""
        return look_at(self._path) != self._seen


def look_at(path: Path) -> FileState | None:
    """The state of a file, to be compared with another one's; None when it is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino, stat.st_size


def adopt(open_client: OpenClient, token: str, method: str) -> Login:
    """Take a token that was handed over; raises VaultLoginFailed when Vault does not know it."""
    if not token or len(token) > _LONGEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise VaultLoginFailed(f"the {method} holds no Vault token", hint="It must be the bare token on one line.")
    client = open_client(token)
    try:
        data = part(client.auth.token.lookup_self(), "data", LOOKUP)
    except CallFailed as failed:
        if not denied(failed):
            raise as_error(LOOKUP, failed) from None
        if is_dead(failed):
            raise VaultLoginFailed(
                f"Vault does not know the {method}: it has expired, was revoked, or is of another Vault or namespace",
                operation=LOOKUP.operation,
                path=LOOKUP.path,
                status=failed.status,
                hint="Provide a new token, or let the worker log in by AppRole (VAULT_ROLE_ID, VAULT_SECRET_ID).",
            ) from None
        return Login(client, TokenFacts(method, None, (), None, renewable=False), 0)
    ttl = whole(data, "ttl", LOOKUP)
    return Login(client, facts_of(data, method, ttl), max(ttl, whole(data, "creation_ttl", LOOKUP)) if ttl else 0)


def is_alive(client: HvacClient) -> bool:
    """Whether Vault still knows the client's token; costs one call. Raises VaultError when that stays unknown."""
    try:
        client.auth.token.lookup_self()
    except CallFailed as failed:
        if not denied(failed):
            raise as_error(LOOKUP, failed) from None
        return not is_dead(failed)
    return True


def denied(failed: CallFailed) -> bool:
    """Whether it was Vault that answered 403, or in other words that it does not take this token (any more)."""
    forbidden = failed.status == HTTPStatus.FORBIDDEN
    return failed.from_vault and (forbidden or is_invalid_token(failed.status, failed.text))


def is_dead(refused_lookup: CallFailed) -> bool:
    """Whether a 403 to a token's lookup of itself means that there is no such token.

    A policy's refusal is a list of errors, "1 error occurred: * permission denied" (Vault's request_handling.go; the
    same measured on OpenBao 2.7.2). An unknown token gets a bare "permission denied", or "2 errors occurred" with
    "invalid token" among them, depending on the release.
    """
    return "1 error occurred" not in refused_lookup.text or "invalid token" in refused_lookup.text


def facts_of(values: Mapping[str, Any], method: str, ttl: int) -> TokenFacts:
    """Facts from a login's ``auth`` or a lookup's ``data``, which name them alike."""
    accessor, policies = values.get("accessor"), values.get("policies")
    return TokenFacts(
        method=method,
        accessor=accessor if isinstance(accessor, str) else None,
        policies=tuple(str(policy) for policy in policies) if isinstance(policies, list) else (),
        ttl=ttl,
        renewable=values.get("renewable") is True,
    )
