"""TLS to Vault as the variables ``VAULT_...`` tell it, with the standard library alone."""

from __future__ import annotations

import ssl
import urllib.request
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from typing import Any

from worker.credentials.deadline import TimedTlsConnection
from worker.credentials.environment import Server
from worker.errors import ConfigurationError


def https_handler(server: Server) -> urllib.request.HTTPSHandler:
    """What an opener needs for https. Raises ConfigurationError for files that cannot be loaded."""
    try:
        context = ssl.create_default_context(cafile=server.ca_file or None, capath=server.ca_path or None)
    except OSError as error:
        what = f"environment: VAULT_CACERT, VAULT_CAPATH: cannot be loaded as PEM certificates: {error.strerror}"
        raise ConfigurationError((what,)) from None
    try:
        if server.client_cert:
            context.load_cert_chain(server.client_cert, server.client_key or None, password=_no_passphrase)
    except (OSError, ValueError):
        what = "environment: VAULT_CLIENT_CERT, VAULT_CLIENT_KEY: cannot be loaded as a certificate and its key"
        raise ConfigurationError((what,), hint="PEM files, the key without a passphrase.") from None
    return _Handler(context, server.tls_name)


def _no_passphrase() -> str:
    """Else OpenSSL would ask the terminal for it."""
    return ""


class _Handler(urllib.request.HTTPSHandler):
    """With a ``name``: has the certificate be for that, and not for the host that is called."""

    def __init__(self, context: ssl.SSLContext, name: str) -> None:
        super().__init__(context=context)
        kind = partial(_NamedConnection, name=name) if name else TimedTlsConnection
        self._open = partial(kind, context=context)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        """As urllib calls it."""
        return self.do_open(self._open, req)


class _NamedConnection(TimedTlsConnection):
    def __init__(self, host: str, *, context: ssl.SSLContext, name: str, **more: Any) -> None:
        super().__init__(host, context=context, **more)
        self._as = partial(context.wrap_socket, server_hostname=name)

    def connect(self) -> None:
        """The connection, then TLS, with the name that was told."""
        HTTPConnection.connect(self)
        self.sock = self._as(self.sock)
