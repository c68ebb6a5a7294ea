"""Can the mount and the token do what will be asked of them? Looked at before a rotation starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hvac.utils import format_url  # type: ignore[import-untyped]  # hvac ships no types

from worker.adapters.vault.calls import VaultCalls, if_there
from worker.adapters.vault.errors import Ask, not_versioned, part, unreadable
from worker.clock import Clock
from worker.errors import VaultDenied, VaultExpires, VaultMountMissing

MOUNT_CHECK_SECONDS = 60.0
"""How long a mount that was found to be KV version 2 is believed to be one."""

DENIED_SECONDS = 3600.0
"""How long settings that may not be read are not asked for again: each denial may cost a login."""

PATHS_PER_CALL = 200
"""OpenBao takes at most 1,000 strings in a body (docs/facts.md)."""

_CAPABILITIES = Ask("look up", "sys/capabilities-self", ("update",))


@dataclass(frozen=True, slots=True)
class MountSettings:
    """What ``GET <mount>/config`` tells of all that is in a mount, unless a document has settings of its own.

    After what time versions expire (Vault's own text; None: never), and how many are kept (0: as many as Vault keeps by
    default). That every write must be check-and-set makes no difference here: every one of ours is.
    """

    delete_version_after: str | None
    max_versions: int


class VaultRights:
    """Asks about one mount and about the token's capabilities."""

    def __init__(self, calls: VaultCalls, mount: str, clock: Clock) -> None:
        self._calls = calls
        self._mount = mount
        self._clock = clock
        self._config = Ask("look up", f"{mount}/config", ("read",))
        self._good_until: float | None = None
        self._lasting_until: float | None = None

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
        after = data.get("delete_version_after")
        expires = isinstance(after, str) and any(digit in after for digit in "123456789")
        most = data.get("max_versions")
        return MountSettings(str(after) if expires else None, most if isinstance(most, int) else 0)

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


def _acl_path(path: str, need: str) -> str:
    return f"{path}/" if need == "list" and not path.endswith("/") else path
