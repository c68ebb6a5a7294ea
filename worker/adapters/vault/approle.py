"""Login by AppRole, with a plain or a response-wrapped secret_id."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from worker.adapters.vault.access import Clients, VaultAccess
from worker.adapters.vault.adapter import CallFailed
from worker.adapters.vault.errors import Ask, as_error, part, text
from worker.adapters.vault.login import Login, granted, refusal
from worker.errors import VaultLoginFailed, VaultUnavailable
from worker.secret import Secret

_LOOKUP = Ask("look up", "sys/wrapping/lookup", ("update",))
_UNWRAP = Ask("unwrap", "sys/wrapping/unwrap", ("update",))
_LIKE_A_TOKEN = re.compile(r"(?:hvs|s)\.[\w.-]{20,}")


class AppRole:
    """AppRole; a wrapped secret_id is unwrapped once and then kept in memory for later logins.

    What was read from a file is read again once the file has changed, so a renewed secret_id needs no restart.
    """

    def __init__(self, clients: Clients, access: VaultAccess) -> None:
        self._clients = clients
        self._access = access
        role_id = Secret(access.role_id or "")
        self._role_id = access.credential(role_id, access.role_id_file, "VAULT_ROLE_ID_FILE")
        # a file's first value is read when it is needed: nobody has to have read it before
        given = access.secret_id or (Secret("") if access.secret_id_file else None)
        self._given = given and access.credential(given, access.secret_id_file, "VAULT_SECRET_ID_FILE")
        self._used: tuple[Secret, Secret | None] | None = None
        self._secret_id: Secret | None = None
        self._ask = Ask("log in at", f"auth/{access.approle_mount}/login", ("update",))

    def log_in(self) -> Login:
        """See :class:`TokenSource`."""
        try:
            answer = self._answer()
        except CallFailed as failed:
            raise refusal(self._ask, failed, "AppRole", self._hint()) from None
        return granted(self._clients, answer, self._ask, "AppRole")

    def changed(self) -> bool:
        """Whether a file holds another value than the one that was used."""
        return self._used is not None and self._current() != self._used

    def _answer(self) -> Mapping[str, Any] | None:
        role_id, given = self._current()
        if self._used is None or given != self._used[1] or self._secret_id is None:
            self._secret_id = None
            self._used = role_id, given
            self._secret_id = self._plain_secret_id(given)
        self._used = role_id, given
        secret_id = self._secret_id.reveal() if self._secret_id else None
        answer: Mapping[str, Any] | None = self._clients.login("").auth.approle.login(
            role_id.reveal(), secret_id, use_token=False, mount_point=self._access.approle_mount
        )
        return answer

    def _current(self) -> tuple[Secret, Secret | None]:
        return self._role_id.current(), self._given.current() if self._given else None

    def _hint(self) -> str:
        return (
            "Check VAULT_ROLE_ID, VAULT_SECRET_ID (missing, used up, expired? a wrapping token that was opened "
            "before?), VAULT_NAMESPACE and VAULT_AUTH_NAMESPACE, and that AppRole is enabled at "
            f"auth/{self._access.approle_mount}."
        )

    def _plain_secret_id(self, given: Secret | None) -> Secret | None:
        if given is None:
            return None
        if not self._access.secret_id_wrapped and not _LIKE_A_TOKEN.fullmatch(given.reveal()):
            return given
        try:
            looked_up = self._clients.login("").adapter.post("/v1/sys/wrapping/lookup", json={"token": given.reveal()})
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
            answer = self._clients.login(wrapping_token.reveal()).sys.unwrap()
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
