"""Can the mount and the token do what will be asked of them? Looked at before a rotation starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hvac.utils import format_url  # type: ignore[import-untyped]  # hvac ships no types

from worker.adapters.vault.calls import VaultCalls, if_there
from worker.adapters.vault.errors import Ask, not_versioned, part, unreadable, whole
from worker.clock import Clock
from worker.errors import VaultDenied, VaultExpires, VaultMountMissing
from worker.rotation.ports import DocumentSettings

MOUNT_CHECK_SECONDS = 60.0
"""How long a mount that was found to be KV version 2 is believed to be one."""

DENIED_SECONDS = 3600.0
"""How long settings that may not be read are not asked for again: each denial may cost a login."""

PATHS_PER_CALL = 200
"""OpenBao takes at most 1,000 strings in a body (docs/facts.md)."""

METADATA_CAS = "metadata check-and-set parameter"
"""OpenBao's words where a mount or a document has ``metadata_cas_required``, and a write does not name a version."""

_CAPABILITIES = Ask("look up", "sys/capabilities-self", ("update",))


@dataclass(frozen=True, slots=True)
class MountSettings:
    """What ``GET <mount>/config`` tells of all that is in a mount, unless a document has settings of its own.

    After what time versions expire (Vault's own text; None: never), and how many are kept (0: as many as Vault keeps by
    default). That every write must be check-and-set makes no difference here: every one of ours is.
    ``metadata_cas_required`` is OpenBao's: the same of settings, which have to be read before.
    """

    delete_version_after: str | None
    max_versions: int
    metadata_cas_required: bool = False


class VaultRights:
    """Asks about one mount and about the token's capabilities."""

    def __init__(self, calls: VaultCalls, mount: str, clock: Clock) -> None:
        self._calls = calls
        self._mount = mount
        self._clock = clock
        self._config = Ask("look up", f"{mount}/config", ("read",))
        self._good_until: float | None = None
        self._lasting_until: float | None = None
        self._denied_until: float | None = None

    def check_mount(self) -> None:
        """Raises VaultMountMissing or VaultNotVersioned; a good answer is believed for MOUNT_CHECK_SECONDS."""
        now = self._clock.monotonic()
        if self._good_until is not None and now < self._good_until:
            return
        ask = Ask("look up", f"sys/internal/ui/mounts/{self._mount}")
        mount = self._looked_up(ask)
        if mount.get("path") != f"{self._mount}/":
            raise self._no_mount(ask)  # for a path below a mount Vault tells of that mount
        options = mount.get("options")
        if not isinstance(options, dict) or options.get("version") != "2":
            raise not_versioned(ask)
        self._good_until = now + MOUNT_CHECK_SECONDS

    def check_expiry(self) -> None:
        """Raises VaultExpires where the mount lets versions expire; what may not be looked at is taken for well.

        A good answer is believed for MOUNT_CHECK_SECONDS.
        """
        now = self._clock.monotonic()
        if self._lasting_until is not None and now < self._lasting_until:
            return
        settings = self.settings()
        if settings and settings.delete_version_after:
            raise VaultExpires(
                f"the mount {self._mount} deletes every version after {settings.delete_version_after}: records and "
                "apps' secrets too",
                operation=self._config.operation,
                path=self._config.path,
                hint=f"Turn it off: `vault write {self._mount}/config delete_version_after=0s`. No key is made before.",
            )
        self._lasting_until = now + (MOUNT_CHECK_SECONDS if settings else DENIED_SECONDS)

    def settings(self) -> MountSettings | None:
        """The mount's settings; None where the token may not read them. Raises VaultError."""
        url = format_url("/v1/{mount}/config", mount=self._mount)
        try:
            answer = self._calls.ask(self._config, lambda client: client.adapter.get(url))
        except VaultDenied:
            return None
        data = part(answer, "data", self._config)
        return MountSettings(_expiry(data), _kept(data), data.get("metadata_cas_required") is True)

    def settings_of(self, path: str) -> DocumentSettings | None:
        """What is set of one document; None where nothing is, or the token may not read it. Raises VaultError."""
        now = self._clock.monotonic()
        if self._denied_until is not None and now < self._denied_until:
            return None
        try:
            data = self._metadata(path)
        except VaultDenied:
            self._denied_until = now + DENIED_SECONDS
            return None
        return None if data is None else DocumentSettings(_expiry(data), _kept(data))

    def metadata_version(self, path: str) -> int:
        """The number that a write of a document's settings must name (OpenBao). Raises VaultError."""
        ask, data = self._about_metadata(path), self._metadata(path)
        return 0 if data is None else whole(data, "current_metadata_version", ask)

    def _metadata(self, path: str) -> Mapping[str, object] | None:
        ask = self._about_metadata(path)
        url = format_url("/v1/{mount}/metadata/{path}", mount=self._mount, path=path)
        answer = self._calls.ask(ask, if_there(lambda client: client.adapter.get(url)))
        return None if answer is None else part(answer, "data", ask)

    def _about_metadata(self, path: str) -> Ask:
        return Ask("look up", f"{self._mount}/metadata/{path}", ("read",))

    def missing(self, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        """Which of the wanted capabilities the token lacks, by path; never cached.

        ``list`` is asked of the folder, with the slash at its end that Vault's policies see. A token that may not ask
        (403 to ``sys/capabilities-self``, which Vault's ``default`` policy allows) gets an empty answer: it may well
        have every right that it needs, and the calls themselves will tell.
        """
        names = sorted({_acl_path(path, need) for path, needs in wanted.items() for need in needs})
        granted: dict[str, frozenset[str]] = {}
        try:
            for start in range(0, len(names), PATHS_PER_CALL):
                granted |= self._granted(names[start : start + PATHS_PER_CALL])
        except VaultDenied:
            return {}
        lacking = {
            path: tuple(need for need in needs if not granted[_acl_path(path, need)] & {need, "root"})
            for path, needs in wanted.items()
        }
        return {path: needs for path, needs in lacking.items() if needs}

    def _looked_up(self, ask: Ask) -> Mapping[str, object]:
        url = format_url("/v1/sys/internal/ui/mounts/{mount}", mount=self._mount)
        try:
            answer = self._calls.ask(ask, if_there(lambda client: client.adapter.get(url)))
        except VaultDenied:
            raise self._no_mount(ask) from None
        return {} if answer is None else part(answer, "data", ask)

    def _granted(self, paths: list[str]) -> dict[str, frozenset[str]]:
        answer = self._calls.ask(_CAPABILITIES, lambda client: client.sys.get_capabilities(paths))
        capabilities = part(answer, "data", _CAPABILITIES)
        if not all(isinstance(capabilities.get(path), list) for path in paths):
            raise unreadable(_CAPABILITIES, "the answer leaves out a path")
        return {path: frozenset(map(str, capabilities[path])) for path in paths}

    def _no_mount(self, ask: Ask) -> VaultMountMissing:
        # Vault answers both alike, so that nobody can find mounts by trying
        return VaultMountMissing(
            f"there is no secrets engine mounted at '{self._mount}', or the token has no right at all in it",
            operation=ask.operation,
            path=ask.path,
            hint="Check vault.mount and VAULT_NAMESPACE, enable a KV version 2 engine there, and compare the token's "
            "policy with config/vault/rotator-policy.hcl.",
        )


def _expiry(settings: Mapping[str, object]) -> str | None:
    after = settings.get("delete_version_after")
    return after if isinstance(after, str) and any(digit in after for digit in "123456789") else None


def _kept(settings: Mapping[str, object]) -> int:
    most = settings.get("max_versions")
    return most if isinstance(most, int) else 0


def _acl_path(path: str, need: str) -> str:
    return f"{path}/" if need == "list" and not path.endswith("/") else path
