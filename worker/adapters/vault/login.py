"""Ways to a Vault token: a token, or a file that Vault Agent rewrites; others are in :mod:`.approle` and :mod:`.jwt`.

What holds the token afterwards, renews and replaces it, is :mod:`worker.adapters.vault.token`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from worker.adapters.vault.access import Clients
from worker.adapters.vault.adapter import CallFailed, HvacClient
from worker.adapters.vault.errors import Ask, as_error, is_invalid_token, part, text, whole
from worker.errors import VaultError, VaultLoginFailed, VaultUnavailable
from worker.secret import Secret, is_one_word
from worker.settings.value_file import FileState, look_at

LOOKUP = Ask("look up", "auth/token/lookup-self", ("read",))
_LONGEST_TOKEN = 8192


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
    """One way's result: clients that have the token, facts, and the token's full ``lease`` in seconds (0: none).

    ``client`` works with the secrets, ``home`` with the token itself, in the namespace where it was had. ``ours``: the
    token was made for this process alone, which revokes it when it ends.
    """

    client: HvacClient = field(repr=False)
    home: HvacClient = field(repr=False)
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

    def __init__(self, clients: Clients, token: Secret) -> None:
        self._clients = clients
        self._token = token

    def log_in(self) -> Login:
        """See :class:`TokenSource`."""
        return adopt(self._clients, self._token.reveal(), "token")

    def changed(self) -> bool:
        """Never."""
        return False


class TokenFile:
    """A file with a token in it, which Vault Agent (a ``file`` sink) rewrites when it has a new one."""

    def __init__(self, clients: Clients, path: Path, on_new: Callable[[Secret], None]) -> None:
        self._clients = clients
        self._path = path
        self._on_new = on_new
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
        self._on_new(Secret(token))
        return adopt(self._clients, token, f"token file {self._path}")

    def changed(self) -> bool:
        """Whether the file is another than the one that was read, or is gone since."""
        return look_at(self._path) != self._seen


def adopt(clients: Clients, token: str, method: str) -> Login:
    """Take a token that was handed over; raises VaultLoginFailed when Vault does not know it."""
    if not is_one_word(token) or len(token) > _LONGEST_TOKEN:
        raise VaultLoginFailed(f"the {method} holds no Vault token", hint="It must be the bare token on one line.")
    client, home = clients.secrets(token), clients.login(token)
    try:
        data = part(home.auth.token.lookup_self(), "data", LOOKUP)
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
        return Login(client, home, TokenFacts(method, None, (), None, renewable=False), 0)
    ttl = whole(data, "ttl", LOOKUP)
    return Login(client, home, facts_of(data, method, ttl), max(ttl, whole(data, "creation_ttl", LOOKUP)) if ttl else 0)


def granted(clients: Clients, answer: Mapping[str, Any] | None, ask: Ask, method: str) -> Login:
    """Take the token that a login's ``answer`` hands over. Raises VaultUnavailable when there is none in it."""
    auth = part(answer, "auth", ask)
    lease = whole(auth, "lease_duration", ask)
    token = text(auth, "client_token", ask)
    return Login(clients.secrets(token), clients.login(token), facts_of(auth, method, lease), lease, ours=True)


def refusal(ask: Ask, failed: CallFailed, method: str, hint: str) -> VaultError:
    """The error for a login that failed: Vault may be away, else it said no."""
    error = as_error(ask, failed)
    if isinstance(error, VaultUnavailable):
        return error
    return VaultLoginFailed(
        f"Vault refused the {method} login: {error.what}",
        operation=ask.operation,
        path=ask.path,
        status=failed.status,
        hint=hint,
    )


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
