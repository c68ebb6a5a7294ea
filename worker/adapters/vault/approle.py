"""Login by AppRole, with a plain or a response-wrapped secret_id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from worker.adapters.vault.adapter import CallFailed
from worker.adapters.vault.errors import Ask, as_error, part, text, whole
from worker.adapters.vault.login import FileState, Login, OpenClient, VaultAccess, facts_of, look_at
from worker.errors import VaultLoginFailed, VaultUnavailable
from worker.secret import Secret

_LOOKUP = Ask("look up", "sys/wrapping/lookup", ("update",))
_UNWRAP = Ask("unwrap", "sys/wrapping/unwrap", ("update",))
_LIKE_A_TOKEN = re.compile(r"(?:hvs|s)\.[\w.-]{20,}")


class AppRole:
    """AppRole; a wrapped secret_id is unwrapped once and then kept in memory for later logins.

    One from a file is read again once the file has changed, so a renewed secret_id needs no restart.
    """

    def __init__(self, open_client: OpenClient, access: VaultAccess) -> None:
        self._open = open_client
        self._access = access
        self._secret_id: Secret | None = None
        self._seen: FileState | None = None
        self._ask = Ask("log in at", f"auth/{access.approle_mount}/login", ("update",))

    def log_in(self) -> Login:
        """See :class:`TokenSource`."""
        if self._secret_id is None or self.changed():
            self._secret_id = None
            self._secret_id = self._plain_secret_id(self._given())
        secret_id = self._secret_id.reveal() if self._secret_id else None
        try:
            answer = self._open("").auth.approle.login(
                self._access.role_id, secret_id, use_token=False, mount_point=self._access.approle_mount
            )
        except CallFailed as failed:
            raise self._refusal(failed) from None
        auth = part(answer, "auth", self._ask)
        lease = whole(auth, "lease_duration", self._ask)
        client = self._open(text(auth, "client_token", self._ask))
        return Login(client, facts_of(auth, "AppRole", lease), lease, ours=True)

    def changed(self) -> bool:
        """Whether the secret_id's file is another than the one that was read, or is gone since."""
        file = self._access.secret_id_file
        return file is not None and look_at(file) != self._seen

    def _given(self) -> Secret | None:
        """The secret_id as it was handed over, wrapped or not."""
        file = self._access.secret_id_file
        if file is None:
            return self._access.secret_id
        self._seen = look_at(file)  # before reading: a change in between is seen next time
        try:
            value = file.read_text("ascii").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError):
            value = ""
        if not value or not value.isprintable() or " " in value:
            raise VaultLoginFailed(
                f"{file} holds no secret_id", hint="Check VAULT_SECRET_ID_FILE: one word on one line."
            )
        return Secret(value)

    def _refusal(self, failed: CallFailed) -> Exception:
        error = as_error(self._ask, failed)
        if isinstance(error, VaultUnavailable):
            return error
        return VaultLoginFailed(
            f"Vault refused the AppRole login: {error.what}",
            operation=self._ask.operation,
            path=self._ask.path,
            status=failed.status,
            hint="Check VAULT_ROLE_ID, VAULT_SECRET_ID (missing, used up, expired? a wrapping token that was opened "
            f"before?), VAULT_NAMESPACE, and that AppRole is enabled at auth/{self._access.approle_mount}.",
        )

    def _plain_secret_id(self, given: Secret | None) -> Secret | None:
        if given is None:
            return None
        if not self._access.secret_id_wrapped and not _LIKE_A_TOKEN.fullmatch(given.reveal()):
            return given
        try:
            looked_up = self._open("").adapter.post("/v1/sys/wrapping/lookup", json={"token": given.reveal()})
        except CallFailed as failed:
            if not self._access.secret_id_wrapped and failed.status == HTTPStatus.BAD_REQUEST:
                return given  # no wrapping token, or a spent one: the login's refusal names that too
            raise _unwrap_failed(_LOOKUP, failed) from None
        self._check_origin(part(looked_up, "data", _LOOKUP))
        return self._unwrap(given)

    def _check_origin(self, wrapped: Mapping[str, Any]) -> None:
        """Who swaps the wrapping token for one of his own cannot forge where Vault says that it was made."""
        mount = re.escape(self._access.approle_mount)
        made_at = wrapped.get("creation_path")
        if isinstance(made_at, str) and re.search(rf"(^|/)auth/{mount}/role/[^/]+/(custom-)?secret-id$", made_at):
            return
        raise VaultLoginFailed(
            "the wrapping token given as secret_id was not made by AppRole: somebody may have swapped it",
            operation=_LOOKUP.operation,
            path=_LOOKUP.path,
            hint="Treat it as an alarm: find out who handed it over, and make a new one with vault write -wrap-ttl.",
        )

    def _unwrap(self, wrapping_token: Secret) -> Secret:
        try:
            # as the client's own token, not as an argument: so it needs no other right (docs/facts.md)
            answer = self._open(wrapping_token.reveal()).sys.unwrap()
        except CallFailed as failed:
            raise _unwrap_failed(_UNWRAP, failed) from None
        return Secret(text(part(answer, "data", _UNWRAP), "secret_id", _UNWRAP))


def _unwrap_failed(ask: Ask, failed: CallFailed) -> Exception:
    error = as_error(ask, failed)
    if isinstance(error, VaultUnavailable):
        return error
    return VaultLoginFailed(
        f"the wrapped secret_id cannot be opened: it has expired, or somebody else may have opened it ({error.what})",
        operation=ask.operation,
        path=ask.path,
        status=failed.status,
        hint="Treat it as an alarm unless this wrapping token was used before, by an earlier start or a login whose "
        "answer was lost: revoke the secret_id, and hand over a new one wrapped.",
    )
