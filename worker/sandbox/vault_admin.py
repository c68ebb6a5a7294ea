"""A Vault operator's few calls, over the standard library: what the sandbox and its tests need to set Vault up."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from worker.errors import VaultRefused
from worker.secret import Secret

_TIMEOUT = 30.0
_FIRST_ERROR = 400


@dataclass(frozen=True, slots=True)
class AppRole:
    """What a program logs in with."""

    role_id: str
    secret_id: Secret = field(repr=False)


@dataclass(frozen=True, slots=True)
class VaultAdmin:
    """Calls ``address`` with ``token``; for the sandbox's own servers, so http only."""

    address: str
    token: Secret | None = None

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """One call; ``path`` follows ``/v1/``. Raises VaultRefused for any error answer, OSError without one."""
        status, document = self.ask(method, path, body)
        if status >= _FIRST_ERROR:
            raise VaultRefused(f"Vault answered {status}", operation=method, path=path, status=status)
        return document

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """The status and the JSON document of an answer, whatever it is; raises OSError when there is none."""
        server = urlsplit(self.address)
        connection = http.client.HTTPConnection(server.hostname or "", server.port, timeout=_TIMEOUT)
        try:
            headers = {"X-Vault-Token": self.token.reveal()} if self.token else {}
            connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(type(error).__name__) from None
        finally:
            connection.close()
        document = json.loads(text) if text.startswith(b"{") else {}
        return answer.status, document

    def write_policy(self, name: str, rights: Mapping[str, Sequence[str]]) -> None:
        """Let whoever holds the policy have these rights, capabilities by path, and no others. Raises VaultRefused."""
        paths = {path: {"capabilities": list(capabilities)} for path, capabilities in rights.items()}
        self.call("PUT", f"sys/policies/acl/{name}", {"policy": json.dumps({"path": paths})})

    def enable_approle(self) -> None:
        """Let programs log in with AppRoles; once for a server. Raises VaultRefused."""
        self.call("POST", "sys/auth/approle", {"type": "approle"})

    def app_role(self, name: str, settings: Mapping[str, object]) -> AppRole:
        """Make an AppRole, and a secret id for it. Raises VaultRefused."""
        role = f"auth/approle/role/{name}"
        self.call("POST", role, settings)
        secret_id = Secret(self.call("POST", f"{role}/secret-id", {})["data"]["secret_id"])
        return AppRole(self.call("GET", f"{role}/role-id")["data"]["role_id"], secret_id)

    def issue_token(self, policy: str, ttl: str) -> Secret:
        """A token that holds this policy for so long. Raises VaultRefused."""
        made = self.call("POST", "auth/token/create", {"policies": [policy], "ttl": ttl})
        return Secret(made["auth"]["client_token"])

    def health(self) -> int | None:
        """The status of ``sys/health``: 200 active, 429 standby, 501 not initialised, 503 sealed; None: no answer."""
        try:
            return self.ask("GET", "sys/health")[0]
        except OSError:
            return None
