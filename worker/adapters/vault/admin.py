"""What an administrator does in Vault: looks at mounts, policies and roles, and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from worker.adapters.vault.calls import VaultCalls, if_there
from worker.adapters.vault.errors import Ask, part, unreadable

_READ = ("read",)
_WRITE = ("create", "update", "sudo")


class VaultAdmin:
    """Calls by their path in Vault's API, without ``/v1/``.

    All raise VaultDenied where the token may not, VaultUnavailable and what is below it, and VaultRefused.
    """

    def __init__(self, calls: VaultCalls) -> None:
        self._calls = calls

    def read(self, path: str) -> Mapping[str, Any] | None:
        """The ``data`` at a path; None where there is nothing."""
        ask = Ask("look up", path, _READ)
        answer = self._calls.ask(ask, if_there(lambda client: client.adapter.get(_url(path))))
        return None if answer is None else part(answer, "data", ask)

    def write(self, path: str, body: Mapping[str, object]) -> None:
        """Make or change what is at a path."""
        ask = Ask("write", path, _WRITE)
        self._calls.ask(ask, lambda client: client.adapter.post(_url(path), json=dict(body)))

    def wrapped(self, path: str, ttl: str) -> str:
        """Have something made at a path, and the token that opens the answer once, within ``ttl`` (``1h``)."""
        ask = Ask("write", path, _WRITE)
        answer = self._calls.ask(ask, lambda client: client.adapter.post(_url(path), json={}, wrap_ttl=ttl))
        token = part(answer or {}, "wrap_info", ask).get("token")
        if not isinstance(token, str) or not token:
            raise unreadable(ask, "the answer holds no wrapping token")
        return token


def _url(path: str) -> str:
    return f"/v1/{quote(path)}"
