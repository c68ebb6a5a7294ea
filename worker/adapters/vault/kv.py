"""KV version 2 in one mount of Vault: the records of targets and the secrets of apps.

:func:`connect` makes the store; nothing is called before its first use. From here down:
:mod:`worker.adapters.vault.calls` (one call with a usable token), :mod:`worker.adapters.vault.token` (keeping one),
:mod:`worker.adapters.vault.login`, :mod:`worker.adapters.vault.approle` and :mod:`worker.adapters.vault.jwt` (getting
one), :mod:`worker.adapters.vault.access` (how),
:mod:`worker.adapters.vault.errors` (what failures mean), and :mod:`worker.adapters.vault.adapter` (sending).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hvac.utils import format_url  # type: ignore[import-untyped]  # hvac ships no types

from worker.adapters.vault.access import Clients, OpenClient, VaultAccess
from worker.adapters.vault.adapter import CallFailed, HvacClient, Sender, open_client
from worker.adapters.vault.calls import Health, VaultCalls, if_there
from worker.adapters.vault.errors import Ask, not_versioned, part, unreadable, whole
from worker.adapters.vault.lag import PAUSES, Newest
from worker.adapters.vault.login import TokenFacts
from worker.adapters.vault.metered import Metered
from worker.adapters.vault.rights import METADATA_CAS, MountSettings, VaultRights
from worker.adapters.vault.token import TokenKeeper
from worker.adapters.vault.ways import checked_namespace, http_of, source_of
from worker.adapters.vault.witness import Listening
from worker.clock import Clock, Hear, moment
from worker.errors import ConfigurationError, UsageError, VaultCasMismatch, VaultError, VaultRefused
from worker.meter import NO_METER, Meter
from worker.rotation.ports import Absence, Document, DocumentSettings, Written
from worker.settings.address import require_address
from worker.settings.proxies import Proxy

__all__ = ["Health", "MountSettings", "TokenFacts", "VaultAccess", "VaultStore", "connect"]


def connect(
    access: VaultAccess,
    mount: str,
    clock: Clock,
    *,
    deadline: float,
    hear: Hear | None = None,
    meter: Meter = NO_METER,
) -> VaultStore:
    """Make the store for one mount; calls nothing yet. ``deadline`` is in seconds, for each method as a whole.

    ``hear`` is told what time it is by Vault, ``meter`` of every call.

    Raises ConfigurationError for an address, a CA file or a login that cannot work.
    """
    mount = _checked_mount(mount)
    engine = http_of(access)
    sender = Listening(engine, clock, hear) if hear else engine
    calls = open_calls(access, clock, Metered(sender, mount, meter), deadline=deadline)

    def beside(mount: str, namespace: str | None) -> VaultStore:
        mount, namespace = _checked_mount(mount), checked_namespace(namespace)
        http = Metered(sender, mount, meter)
        sent = calls.sent_by(lambda token: open_client(http, address, namespace, token, clock.sleep))
        return VaultStore(sent, mount, clock, proxy, beside)

    address = access.address.rstrip("/")
    proxy = engine.proxies.to(address)
    return VaultStore(calls, mount, clock, proxy, beside)


def open_calls(access: VaultAccess, clock: Clock, http: Sender | None = None, *, deadline: float) -> VaultCalls:
    """Calls of Vault as :func:`connect` makes them, sent by ``http`` if it is given. Raises ConfigurationError."""
    address = require_address(access.address, "VAULT_ADDR")
    http = http or http_of(access)

    def opening(namespace: str | None) -> OpenClient:
        checked = checked_namespace(namespace)
        return lambda token: open_client(http, address, checked, token, clock.sleep)

    clients = Clients(opening(access.namespace), opening(access.auth_namespace or access.namespace))
    keeper = TokenKeeper(source_of(access, clients), clock)
    return VaultCalls(keeper, open_client(http, address, None, "", clock.sleep), deadline=deadline)


class VaultStore:
    """The :class:`worker.rotation.ports.VaultPort` on a real Vault; may be used by many threads at once.

    Every method has the deadline of :func:`connect` in all, with logging in and renewing where that is needed. All
    raise VaultUnavailable and what is below it, VaultDenied, VaultLoginFailed, VaultMountMissing, VaultRefused, and
    UsageError for a path that is none. ``proxy`` is the one that leads to Vault.
    """

    def __init__(
        self,
        calls: VaultCalls,
        mount: str,
        clock: Clock,
        proxy: Proxy | None = None,
        beside: Callable[[str, str | None], VaultStore] | None = None,
    ) -> None:
        self.proxy = proxy
        self._beside = beside
        self._calls = calls
        self._mount = mount
        self._rights = VaultRights(calls, mount, clock)
        self._clock = clock
        self._newest = Newest(clock)

    def beside(self, mount: str, namespace: str | None) -> VaultStore:
        """Another mount of the same Vault, in the same or another namespace, with the same login and its connections.

        Raises ConfigurationError for what is no mount or namespace.
        """
        if self._beside is None:
            raise ConfigurationError(("this store was not made by connect()",))
        return self._beside(mount, namespace)

    def read(self, path: str, at_least: int = 0) -> Document:
        """See :class:`worker.rotation.ports.VaultPort`. Raises VaultNotVersioned for what a KV version 1 mount answers.

        Nothing in a KV version 1 mount looks like nothing in any other: :meth:`missing_capabilities` checks the mount.
        """
        document, wanted = self.read_version(path, 0), max(at_least, self._newest.of(path))
        for pause in PAUSES:
            if document.version >= wanted:
                break
            self._clock.sleep(pause)
            document = self.read_version(path, 0)
        if document.version < wanted:
            self._newest.forget(path)
        self._newest.saw(path, document.version)
        return document

    def read_version(self, path: str, version: int) -> Document:
        """See :class:`worker.rotation.ports.VaultPort`; 0 is the latest, as in Vault's own API."""
        ask = self._about("read", "data", path, "read")
        answer = self._calls.ask(ask, lambda client: self._read(client, path, version))
        if answer is None:
            return Document(None, 0, absence=Absence.NEVER)
        data = part(answer, "data", ask)
        if "metadata" not in data:
            raise not_versioned(ask)
        metadata = part(data, "metadata", ask)
        content = data.get("data")
        if content is not None and not isinstance(content, dict):
            raise unreadable(ask, "the answer's data is no object")
        absence = None if content is not None else _absence(metadata)
        return Document(
            content,
            whole(metadata, "version", ask),
            _request_id(answer),
            moment(metadata.get("created_time")),
            absence,
            moment(metadata.get("deletion_time")) if absence is None else None,
        )

    def write(self, path: str, data: Mapping[str, object], cas: int) -> Written:
        """See :class:`.VaultPort`. Raises VaultCasMismatch; VaultNotVersioned: nothing usable was kept."""
        for pause in PAUSES:
            try:
                return self._write(path, data, cas)
            except VaultCasMismatch:
                if self._is_newer(path, cas):
                    raise
            self._clock.sleep(pause)
        return self._write(path, data, cas)

    def _write(self, path: str, data: Mapping[str, object], cas: int) -> Written:
        ask = self._about("write", "data", path, "create", "update")
        answer = self._calls.ask(
            ask,
            lambda client: client.secrets.kv.v2.create_or_update_secret(
                path=path, secret=dict(data), cas=cas, mount_point=self._mount
            ),
        )
        if answer is None:
            raise not_versioned(ask)
        written = Written(whole(part(answer, "data", ask), "version", ask), _request_id(answer))
        self._newest.saw(path, written.version)
        return written

    def _is_newer(self, path: str, cas: int) -> bool:
        """Whether another writer was first: a standby that is behind refuses a write by what it knows itself.

        True also where that cannot be seen: then who reads again will.
        """
        try:
            version = self.read_version(path, 0).version
        except VaultError:
            return True
        if version > cas:
            self._newest.saw(path, version)
        return version > cas

    def prepare_record(self, path: str) -> None:
        """See :class:`.VaultPort`. Every other setting of the document, such as custom_metadata, stays."""
        self._rights.check_mount()  # a KV version 1 mount would take this, and every write after it, as a plain secret
        ask = self._about("prepare", "metadata", path, "create", "update")
        # not kv.v2.update_metadata: that always sends delete_version_after and so resets it (docs/facts.md)
        url = format_url("/v1/{mount}/metadata/{path}", mount=self._mount, path=path)
        settings: dict[str, object] = {"max_versions": 1, "cas_required": True}
        try:
            self._calls.ask(ask, lambda client: client.adapter.post(url, json=settings))
        except VaultRefused as error:
            if METADATA_CAS not in error.what:
                raise
            settings["metadata_cas"] = self._rights.metadata_version(path)
            self._calls.ask(ask, lambda client: client.adapter.post(url, json=settings))

    def settings_of(self, path: str) -> DocumentSettings | None:
        """See :class:`worker.rotation.ports.VaultPort`. A denial is believed for a while."""
        self._about("look up", "metadata", path)
        return self._rights.settings_of(path)

    def destroy(self, path: str, version: int) -> None:
        """See :class:`worker.rotation.ports.VaultPort`."""
        ask = self._about("destroy", "destroy", path, "update")
        self._calls.ask(
            ask,
            if_there(
                lambda client: client.secrets.kv.v2.destroy_secret_versions(
                    path=path, versions=[version], mount_point=self._mount
                )
            ),
        )

    def undelete(self, path: str, version: int) -> None:
        """See :class:`worker.rotation.ports.VaultPort`."""
        ask = self._about("undelete", "undelete", path, "update")
        self._calls.ask(
            ask,
            lambda client: client.secrets.kv.v2.undelete_secret_versions(
                path=path, versions=[version], mount_point=self._mount
            ),
        )

    def list(self, path: str) -> tuple[str, ...]:
        """See :class:`worker.rotation.ports.VaultPort`."""
        folder = path.removesuffix("/")
        ask = self._about("list", "metadata", folder, "list")
        answer = self._calls.ask(
            ask, if_there(lambda client: client.secrets.kv.v2.list_secrets(path=folder, mount_point=self._mount))
        )
        if answer is None:
            return ()
        names = part(answer, "data", ask).get("keys")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise unreadable(ask, "the answer holds no 'keys'")
        return tuple(names)

    def missing_capabilities(self, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """See :class:`worker.rotation.ports.VaultPort` and :class:`worker.adapters.vault.rights.VaultRights`."""
        self._rights.check_mount()
        self._rights.check_expiry()
        return self._rights.missing(wanted)

    def mount_settings(self) -> MountSettings | None:
        """The mount's settings; None where the token may not read them. Raises VaultError."""
        return self._rights.settings()

    def token_ends_in(self) -> float | None:
        """In how many seconds the token in use ends; None where there is none yet, or it never does. Calls nothing."""
        return self._calls.token_ends_in()

    def check(self) -> TokenFacts:
        """Log in and tell about the token. See :meth:`worker.adapters.vault.calls.VaultCalls.check`."""
        return self._calls.check()

    def health(self) -> Health:
        """Whether Vault is sealed or a standby. See :meth:`worker.adapters.vault.calls.VaultCalls.health`."""
        return self._calls.health()

    def keep_alive(self) -> None:
        """Renew the token when it is time to: for every tick of the worker, which may be idle for long.

        Calls nothing before the first login. Raises VaultLoginFailed when the token is going to end and no other can
        be had, and VaultUnavailable; says so again with the next try, which is a tenth of what is left away.
        """
        self._calls.keep_alive()

    def leave(self) -> None:
        """Revoke the token that was made for this process. See :meth:`worker.adapters.vault.calls.VaultCalls.leave`."""
        self._calls.leave()

    def close(self) -> None:
        """Revoke the token that was made for this process, and close every connection."""
        self.leave()
        self._calls.close()

    def _read(self, client: HvacClient, path: str, version: int) -> Any:
        try:
            return client.secrets.kv.v2.read_secret_version(
                path=path, version=version or None, mount_point=self._mount, raise_on_deleted_version=True
            )
        except CallFailed as failed:
            if not failed.is_missing:
                raise
            return failed.document if failed.describes_deleted else None

    def _about(self, operation: str, kind: str, path: str, *needs: str) -> Ask:
        if not _is_path(path):
            raise UsageError(f"'{path}' is no path in Vault", hint="No empty, '.' or '..' parts, no slash at the ends.")
        return Ask(operation, f"{self._mount}/{kind}/{path}", needs)


def _is_path(path: str) -> bool:
    # Vault would clean other ones, and so read or write somewhere else
    return not any(segment in ("", ".", "..") for segment in path.split("/"))


def _checked_mount(mount: str) -> str:
    if not _is_path(mount.strip("/")):
        raise ConfigurationError((f"vault.mount: '{mount}' is no path in Vault",))
    return mount.strip("/")


def _request_id(answer: Mapping[str, Any]) -> str | None:
    value = answer.get("request_id")
    return value if isinstance(value, str) and value else None


def _absence(metadata: Mapping[str, Any]) -> Absence:
    """Why a version that exists shows no data: Vault keeps its metadata (docs/facts.md, "Vault")."""
    return Absence.DESTROYED if metadata.get("destroyed") is True else Absence.DELETED
