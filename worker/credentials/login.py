"""Logging in to Vault as an app: a token, a file with one, AppRole, or a Kubernetes ServiceAccount."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TypeVar

from worker.credentials.environment import Given
from worker.credentials.vault import Vault
from worker.errors import (
    CredentialsMissing,
    RotatorError,
    VaultDenied,
    VaultError,
    VaultLoginFailed,
    VaultRefused,
)
from worker.secret import Secret, is_one_word

T = TypeVar("T")

AT_THE_END = 1.0
"""Seconds that a process that was told to end waits for Vault."""
_REVOKE = "auth/token/revoke-self"

_LONGEST = 16_384
"""Characters of a token, a secret id or a ServiceAccount's token."""


class Session:
    """A login that is kept while it works. Any thread may use it."""

    def __init__(self, vault: Vault, given: Given) -> None:
        self._vault = vault
        self._given = given
        self._token: Secret | None = None
        self._lock = Lock()

    def read(self, mount: str, path: str) -> tuple[dict[str, object], int]:
        """See :meth:`Vault.read`; a login that has ended is followed by one new one."""
        return self._logged_in(lambda token: self._vault.read(mount, path, token))

    def latest(self, mount: str, path: str) -> tuple[dict[str, object], int]:
        """See :meth:`Vault.latest`."""
        return self._logged_in(lambda token: self._vault.latest(mount, path, token))

    def write(self, mount: str, path: str, data: Mapping[str, object], version: int) -> None:
        """See :meth:`Vault.write`."""
        self._logged_in(lambda token: self._vault.write(mount, path, data, version, token))

    def _logged_in(self, call: Callable[[Secret], T]) -> T:
        kept = self._token
        if kept is None:
            return call(self._log_in(None))
        try:
            return call(kept)
        except VaultLoginFailed:
            return call(self._log_in(kept))

    def end(self) -> None:
        """Revoke a token that was made for this process: one for each call of a helper would fill Vault's store."""
        token, self._token = self._token, None
        if token and self._made_here:
            with suppress(RotatorError):  # it ends by itself
                self._vault.call("POST", _REVOKE, token, None, self._given.namespace, AT_THE_END)

    @property
    def _made_here(self) -> bool:
        return not self._given.token and not self._given.token_file

    def _log_in(self, refused: Secret | None) -> Secret:
        """A token other than the one that was ``refused``; many threads at once make one."""
        with self._lock:
            if self._token is None or self._token == refused:
                self._token = self._new_token()
            return self._token

    def _new_token(self) -> Secret:
        given = self._given
        if given.token:
            return given.token
        if given.token_file:
            return _word(given.token_file, "the token file (VAULT_TOKEN_FILE)")
        if given.role_id:
            return self._at(given.mount, {"role_id": given.role_id, **self._secret_id()})
        if given.jwt_file:
            jwt = _word(given.jwt_file, "the JSON Web Token")
            role = {"role": given.role} if given.role else {}
            return self._at(given.mount, {**role, "jwt": jwt.reveal()})
        raise VaultLoginFailed(
            "there is no way to log in to Vault",
            hint="Set VAULT_TOKEN, VAULT_TOKEN_FILE, VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_AUTH_METHOD.",
        )

    def _secret_id(self) -> dict[str, object]:
        given = self._given
        if given.secret_id_file:
            return {"secret_id": _word(given.secret_id_file, "the file of VAULT_SECRET_ID_FILE").reveal()}
        return {"secret_id": given.secret_id.reveal()} if given.secret_id else {}

    def _at(self, mount: str, body: dict[str, object]) -> Secret:
        try:
            answer = self._vault.call("POST", f"auth/{mount}/login", None, body, self._given.namespace)
        except (VaultRefused, VaultDenied, VaultLoginFailed, CredentialsMissing) as refused:
            raise self._refused(mount, refused) from None
        try:
            token = str(answer["auth"]["client_token"])
        except (KeyError, TypeError):
            token = ""
        if not is_one_word(token):
            raise VaultLoginFailed(f"what answered auth/{mount}/login gave no token", hint="Is this Vault?")
        return Secret(token)

    def _refused(self, mount: str, refused: RotatorError) -> VaultLoginFailed:
        """Vault answers 400 to a wrong or expired login, and says the same of one at a mount that is not there."""
        checked = "the role id and the secret id (used up, expired?)"
        if not self._given.role_id:
            checked = f"VAULT_AUTH_ROLE, and the token in {self._given.jwt_file} (expired? its audience?)"
        what = refused.what if isinstance(refused, VaultError) else f"Vault knows nothing of auth/{mount}/login"
        return VaultLoginFailed(
            what,
            path=f"auth/{mount}/login",
            hint=f"Check {checked}, and that this way to log in is enabled at auth/{mount} (--auth-mount).",
        )


def _word(file: Path, what: str) -> Secret:
    try:
        with file.open(encoding="ascii") as opened:
            text = opened.read(_LONGEST + 1).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = (isinstance(error, OSError) and error.strerror) or "it holds other characters than ASCII"
        raise VaultLoginFailed(f"{what}, {file}, cannot be read: {why}", hint="Check the file and its mode.") from None
    if not is_one_word(text) or len(text) > _LONGEST:
        raise VaultLoginFailed(f"{what}, {file}, does not hold one word", hint="It must be the bare value on one line.")
    return Secret(text)
