"""A Vault operator's few calls, over the standard library: what the sandbox and its tests need to set Vault up."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from worker.errors import VaultRefused
from worker.secret import Secret

_TIMEOUT = 30.0
_FIRST_ERROR = 400


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

    def health(self) -> int | None:
        """The status of ``sys/health``: 200 active, 429 standby, 501 not initialised, 503 sealed; None: no answer."""
        try:
            return self.ask("GET", "sys/health")[0]
        except OSError:
            return None
