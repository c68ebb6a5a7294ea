"""Login by a JSON Web Token: as a service account of Kubernetes, or as what an issuer of such tokens vouches for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from worker.adapters.vault.access import JWT, KUBERNETES, Clients, JwtAccess
from worker.adapters.vault.adapter import CallFailed
from worker.adapters.vault.errors import Ask
from worker.adapters.vault.login import Login, granted, refusal
from worker.errors import VaultLoginFailed
from worker.secret import Secret
from worker.settings.credential import Credential

NAMES = {KUBERNETES: "Kubernetes", JWT: "JWT"}


class JwtLogin:
    """The token's file is read anew for every login: such tokens are short-lived, and whoever made one renews it.

    A renewed token alone asks for no new login, except after one that was refused.
    """

    def __init__(self, clients: Clients, access: JwtAccess, on_new: Callable[[Secret], None]) -> None:
        self._clients = clients
        self._access = access
        self._jwt = Credential(Secret(""), access.file, "VAULT_JWT_FILE", on_new=on_new)
        self._refused: Secret | None = None
        self._ask = Ask("log in at", f"auth/{access.mount}/login", ("update",))

    def log_in(self) -> Login:
        """See :class:`TokenSource`."""
        self._refused = jwt = self._jwt.current()
        if not jwt.reveal():
            hint = "Check VAULT_JWT_FILE: one word."
            raise VaultLoginFailed(f"{self._access.file} holds no token to log in with", hint=hint)
        try:
            answer = self._answer(jwt)
        except CallFailed as failed:
            raise refusal(self._ask, failed, NAMES[self._access.method], self._hint()) from None
        self._refused = None
        return granted(self._clients, answer, self._ask, NAMES[self._access.method])

    def changed(self) -> bool:
        """Whether there is another token than the one that was refused."""
        return self._refused is not None and self._jwt.current() != self._refused

    def _answer(self, jwt: Secret) -> Mapping[str, Any] | None:
        auth, access = self._clients.login("").auth, self._access
        answer: Mapping[str, Any] | None
        if access.method == KUBERNETES:
            answer = auth.kubernetes.login(access.role, jwt.reveal(), use_token=False, mount_point=access.mount)
        else:
            answer = auth.jwt.jwt_login(access.role, jwt.reveal(), use_token=False, path=access.mount)
        return answer

    def _hint(self) -> str:
        return (
            f"Check VAULT_AUTH_ROLE, the token in {self._access.file} (expired? its audience and subject must be the "
            f"role's), VAULT_NAMESPACE and VAULT_AUTH_NAMESPACE, and that {NAMES[self._access.method]} is enabled at "
            f"auth/{self._access.mount}."
        )
