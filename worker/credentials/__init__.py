"""An app's key from Vault, for the app: the standard library only, whatever Python 3.11 there is.

``read`` is for programs in Python; :mod:`worker.credentials.botocore` gives boto3 sessions that stay fresh;
:mod:`worker.credentials.command` is for everything else.
"""

from __future__ import annotations

import os

from worker.credentials.environment import DEFAULT_MOUNT, login_from, place_at, server_from
from worker.credentials.keys import AppKey, key_in

__all__ = ["AppKey", "read"]


def read(path: str, *, mount: str = DEFAULT_MOUNT, fields: str = "", auth_mount: str = "") -> AppKey:
    """The key that is current now, read from the Vault that the environment names (docs/apps.md).

    ``auth_mount`` is where the way to log in is enabled, as by ``--auth-mount``.

    Raises ConfigurationError, UsageError, CredentialsMissing, CredentialsUnusable and VaultError.
    """
    from worker.credentials.login import Session  # noqa: PLC0415 - a helper that finds its key kept needs no TLS
    from worker.credentials.vault import Vault  # noqa: PLC0415

    place = place_at(path, mount, fields)
    session = Session(Vault(server_from(os.environ)), login_from(os.environ, auth_mount))
    try:
        found, version = session.read(place.mount, place.path)
    finally:
        session.end()
    return key_in(found, version, place.names)
