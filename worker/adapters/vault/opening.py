"""Vault as the settings name it, and nothing else: what a command that only reads a record has to open."""

from __future__ import annotations

import atexit
from collections.abc import Callable
from datetime import timedelta

from worker.adapters.http.trust import TlsFiles
from worker.adapters.vault.access import JwtAccess
from worker.adapters.vault.admin import VaultAdmin
from worker.adapters.vault.kv import VaultAccess, VaultStore, connect, open_calls
from worker.clock import Clock, Hear
from worker.meter import NO_METER, Meter
from worker.secret import Secret
from worker.settings.credential import no_logs
from worker.settings.proxies import Proxies
from worker.settings.settings import Settings, VaultSettings

LONGEST_CALL = timedelta(seconds=15)


def open_vault(
    settings: Settings,
    clock: Clock,
    hear: Hear | None = None,
    on_new: Callable[[Secret], None] = no_logs,
    meter: Meter = NO_METER,
) -> VaultStore:
    """The Vault that the settings name; calls nothing yet.

    ``hear`` is told its time, ``on_new`` secrets that are read later, ``meter`` every call.

    Raises ConfigurationError.
    """
    deadline = call_deadline(settings).total_seconds()
    access = _access(settings.vault, settings.proxies, on_new)
    store = connect(access, settings.vault.mount, clock, deadline=deadline, hear=hear, meter=meter)
    atexit.register(store.leave)  # a command has no other end that all ways lead to
    return store


def open_destinations(
    settings: Settings,
    home: VaultStore,
    clock: Clock,
    on_new: Callable[[Secret], None] = no_logs,
    meter: Meter = NO_METER,
) -> dict[str, VaultStore]:
    """The mounts of ``[[destination]]`` by name; calls nothing yet. ``home`` is the Vault of ``[vault]``.

    Raises ConfigurationError.
    """
    found = {}
    for name, destination in settings.destinations.items():
        given = destination.vault
        if destination.shares_login:
            found[name] = home.beside(given.mount, given.namespace)
            continue
        access, deadline = _access(given, settings.proxies, on_new), call_deadline(settings).total_seconds()
        found[name] = connect(access, given.mount, clock, deadline=deadline, meter=meter)
        atexit.register(found[name].leave)
    return found


def open_admin(settings: Settings, clock: Clock, destination: str | None = None) -> VaultAdmin:
    """The same Vault, or that of a destination, for an administrator. Raises ConfigurationError."""
    given = settings.destinations[destination].vault if destination else settings.vault
    access = _access(given, settings.proxies, no_logs)
    calls = open_calls(access, clock, deadline=call_deadline(settings).total_seconds())
    atexit.register(calls.leave)
    return VaultAdmin(calls)


def _access(given: VaultSettings, proxies: Proxies, on_new: Callable[[Secret], None]) -> VaultAccess:
    return VaultAccess(
        address=given.address,
        namespace=given.namespace,
        auth_namespace=given.auth_namespace,
        tls=_tls(given),
        token=given.token,
        token_file=given.token_file,
        role_id=given.role_id,
        role_id_file=given.role_id_file,
        secret_id=given.secret_id,
        secret_id_file=given.secret_id_file,
        secret_id_wrapped=given.secret_id_wrapped,
        approle_mount=given.approle_mount,
        jwt=_jwt(given),
        proxies=Proxies.only("VAULT_PROXY_ADDR", given.proxy.reveal()) if given.proxy else proxies,
        on_new=on_new,
    )


def _tls(given: VaultSettings) -> TlsFiles:
    files = (given.ca_file, given.ca_path, given.client_cert, given.client_key)
    ca_file, ca_path, cert, key = (str(file) if file else None for file in files)
    return TlsFiles(ca_file, ca_path, cert, key, given.tls_server_name)


def _jwt(given: VaultSettings) -> JwtAccess | None:
    if given.jwt_login is None:
        return None
    mount, file = given.jwt_login
    return JwtAccess(given.auth_method or "", file, mount, given.auth_role or "")


def call_deadline(settings: Settings) -> timedelta:
    """How long any call but a create may take."""
    return min(LONGEST_CALL, settings.worker.lease / 2)
