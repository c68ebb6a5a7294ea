"""Where Vault is, and how to log in there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from worker.adapters.http.trust import TlsFiles
from worker.adapters.vault.adapter import HvacClient
from worker.secret import Secret
from worker.settings.credential import Credential, no_logs
from worker.settings.proxies import Proxies

OpenClient = Callable[[str], HvacClient]
"""Makes the client for one token; an empty token makes one that sends none."""

KUBERNETES, JWT = "kubernetes", "jwt"


class Clients(NamedTuple):
    """What makes clients: of the namespace of the ``secrets``, and of the one where tokens are had."""

    secrets: OpenClient
    login: OpenClient


@dataclass(frozen=True, slots=True)
class JwtAccess:
    """A login by the JSON Web Token in ``file``, as :data:`KUBERNETES` or :data:`JWT`, enabled at ``mount``.

    ``role`` may be empty where a mount of JWT has a default one.
    """

    method: str
    file: Path
    mount: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class VaultAccess:
    """Where Vault is and how to log in: by ``token``, else ``token_file``, else ``jwt``, else AppRole.

    ``secret_id_wrapped`` says that ``secret_id`` is a response-wrapping token; one that looks like a token is asked
    about at Vault in any case. ``role_id_file`` and ``secret_id_file`` are where those were read, and are read again
    once they have changed. ``auth_namespace`` is where to log in, if not in ``namespace``. ``on_new`` is given every
    secret that is read later.
    """

    address: str
    namespace: str | None = None
    auth_namespace: str | None = None
    token: Secret | None = None
    token_file: Path | None = None
    role_id: str | None = None
    role_id_file: Path | None = None
    secret_id: Secret | None = None
    secret_id_file: Path | None = None
    secret_id_wrapped: bool = False
    approle_mount: str = "approle"
    jwt: JwtAccess | None = None
    tls: TlsFiles = field(default_factory=TlsFiles)
    proxies: Proxies = field(default_factory=Proxies)
    on_new: Callable[[Secret], None] = no_logs

    def credential(self, value: Secret, file: Path | None, variable: str) -> Credential:
        """A value that is read again when its file changes."""
        return Credential(value, file, variable, on_new=self.on_new)
