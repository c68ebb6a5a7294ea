"""The way to Vault, and the way in: TLS, proxy, namespaces and login, checked before any call."""

from __future__ import annotations

from worker.adapters.http.engine import Engine, new_engine
from worker.adapters.vault.access import Clients, VaultAccess
from worker.adapters.vault.approle import AppRole
from worker.adapters.vault.jwt import JwtLogin
from worker.adapters.vault.login import GivenToken, TokenFile, TokenSource
from worker.errors import ConfigurationError


def checked_namespace(namespace: str | None) -> str | None:
    """A namespace as it is sent; None for the outermost, which is also called ``root``. Raises ConfigurationError."""
    if namespace and not (namespace.isascii() and namespace.isprintable()):
        raise ConfigurationError(
            ("VAULT_NAMESPACE and VAULT_AUTH_NAMESPACE must be printable ASCII, as they are sent in a header",)
        )
    return None if namespace in ("root", "/") else namespace


def http_of(access: VaultAccess) -> Engine:
    """The engine of all calls to Vault. Raises ConfigurationError for files that cannot be loaded."""
    tls = access.tls
    if tls.client_key and not tls.client_cert:
        raise ConfigurationError(("VAULT_CLIENT_CERT is missing beside VAULT_CLIENT_KEY",))
    try:
        engine = new_engine(tls=tls, proxies=access.proxies)
    except OSError:  # ssl.SSLError is one
        if tls.client_cert:
            what = "VAULT_CLIENT_CERT, VAULT_CLIENT_KEY: cannot be loaded as a certificate and its key (no passphrase)"
            raise ConfigurationError((what,), hint="Check VAULT_CACERT and VAULT_CAPATH too.") from None
        raise ConfigurationError((f"VAULT_CACERT: {tls.ca_file} cannot be loaded as PEM certificates",)) from None
    if tls.server_name and engine.proxies.to(access.address):
        raise ConfigurationError(("VAULT_TLS_SERVER_NAME: cannot be used by way of a proxy",))
    return engine


def source_of(access: VaultAccess, clients: Clients) -> TokenSource:
    """Where tokens come from. Raises ConfigurationError where there is no way to log in."""
    if access.token is not None:
        return GivenToken(clients, access.token)
    if access.token_file is not None:
        return TokenFile(clients, access.token_file, access.on_new)
    if access.jwt is not None:
        return JwtLogin(clients, access.jwt, access.on_new)
    if access.role_id is not None:
        return AppRole(clients, access)
    raise ConfigurationError(
        ("there is no way to log in to Vault",),
        hint="Set VAULT_TOKEN, VAULT_TOKEN_FILE, VAULT_ROLE_ID and VAULT_SECRET_ID, or VAULT_AUTH_METHOD.",
    )
