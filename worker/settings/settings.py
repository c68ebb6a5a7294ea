"""The settings: ``config/rotator.toml`` and the environment, checked as a whole before anything starts.

:func:`load` is the only way in. Where both say something, the environment wins; secrets stand in the environment, or
in files that it names, and never in the configuration file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from worker.secret import Secret
from worker.settings import values
from worker.settings.environment import WHERE, Environment, Need, check_logins, read_environment
from worker.settings.file import Problems, Table, find_file, read_file, show_key, table_of, unknown
from worker.settings.redis_url import redis_passwords
from worker.settings.targets import read_targets
from worker.targets.durations import format_duration
from worker.targets.target import Target

__all__ = [
    "HostUpSettings",
    "Need",
    "Settings",
    "StorageSettings",
    "Target",
    "VaultSettings",
    "WorkerSettings",
    "load",
]

BASE_URL = "https://cloud.hostup.se"
"""hostup-api.md, "The HostUp API"."""

LONGEST_CREATE = timedelta(seconds=40)
"""Ceph was seen to take 30 s for a create (facts.md, "Ceph's object gateway")."""

SHORTEST_LEASE = timedelta(seconds=3)

_TABLES = ("hostup", "storage", "vault", "redis", "worker", "target")


@dataclass(frozen=True, slots=True)
class HostUpSettings:
    """``parallel_creates``: how many creates may be under way at once for the account, over all workers."""

    base_url: str
    api_key: Secret | None
    parallel_creates: int


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """None: taken from ``GET /api/object-storage``."""

    endpoint: str | None
    region: str | None


@dataclass(frozen=True, slots=True)
class VaultSettings:
    """Where Vault is, and one way to log in: a token, a file with a token, or AppRole."""

    address: str
    mount: str
    state_path: str
    namespace: str | None
    ca_file: Path | None
    token: Secret | None
    token_file: Path | None
    role_id: str | None
    secret_id: Secret | None
    secret_id_wrapped: bool
    approle_mount: str


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``verify_within``: how long a new key may take to spread; ``dead_within``: how long a deleted one may live on."""

    concurrency: int
    tick: timedelta
    audit_every: timedelta
    verify_within: timedelta
    dead_within: timedelta
    lease: timedelta

    @property
    def create_deadline(self) -> timedelta:
        """How long one create may take as a whole: well inside the lease."""
        return min(LONGEST_CREATE, self.lease / 3)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set; ``file`` is where it was read."""

    file: Path
    hostup: HostUpSettings
    storage: StorageSettings
    vault: VaultSettings
    redis_url: Secret
    worker: WorkerSettings
    targets: Mapping[str, Target]

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret in here; for redaction."""
        given = (self.hostup.api_key, self.vault.token, self.vault.secret_id, self.redis_url)
        return (*(secret for secret in given if secret), *redis_passwords(self.redis_url))


def load(
    path: Path | None,
    env: Mapping[str, str],
    needs: Need = Need.HOSTUP | Need.VAULT,
    only: Collection[str] | None = None,
) -> Settings:
    """Read and check everything; the file is ``path``, else ``ROTATOR_CONFIG``, else ``config/rotator.toml``.

    ``needs`` are the logins that must be there, ``only`` the names of the targets that matter: others are passed over,
    which is quicker, and what is wrong with them hinders nobody who asks about one.

    Raises ConfigurationError with all problems at once; each names the file and the key (``target[1]`` is the first),
    or the variable, and says what is allowed.
    """
    problems = Problems()
    file = find_file(path, env)
    raw = read_file(file, problems)
    given = read_environment(env, problems)
    check_logins(given.given, needs, problems)
    if raw is None:
        problems.raise_any()
    settings = _settings(file, raw or {}, given, problems, only)
    problems.raise_any()
    return settings


def _settings(
    file: Path, raw: Mapping[str, object], given: Environment, problems: Problems, only: Collection[str] | None
) -> Settings:
    """What the file and the environment say; worth something only if no problem was noted."""
    for name in raw:
        if name not in _TABLES:
            problems.note(f"{file}: {show_key(name)}", unknown(name, _TABLES))

    def table(name: str) -> Table:
        return table_of(raw, name, str(file), problems)

    hostup = _hostup(table("hostup"), given)
    storage = _storage(table("storage"))
    vault = _vault(table("vault"), given, problems)
    redis_url = _redis_url(table("redis"), given, problems)
    worker = _worker(table("worker"))
    targets = read_targets(str(file), raw.get("target", []), vault.state_path, problems, only)
    return Settings(file, hostup, storage, vault, redis_url, worker, targets)


def _hostup(table: Table, given: Environment) -> HostUpSettings:
    settings = HostUpSettings(
        base_url=table.get("base_url", values.address, BASE_URL),
        api_key=given.hostup_api_key,
        parallel_creates=table.get("parallel_creates", values.whole(1, 64), 2),
    )
    table.refuse_others()
    return settings


def _storage(table: Table) -> StorageSettings:
    settings = StorageSettings(
        endpoint=table.get("endpoint", values.address, None),
        region=table.get("region", values.region, None),
    )
    table.refuse_others()
    return settings


def _vault(table: Table, given: Environment, problems: Problems) -> VaultSettings:
    address = table.get("address", values.address, "")
    if "VAULT_ADDR" not in given.given and not table.has("address"):
        problems.note(
            f"{WHERE}: VAULT_ADDR", "is missing; set it, or address under [vault], such as https://vault:8200"
        )
    settings = VaultSettings(
        address=given.vault_address or address,
        mount=table.get("mount", values.path, "secret"),
        state_path=table.get("state_path", values.path, "hostup-rotator/state"),
        namespace=given.vault_namespace,
        ca_file=given.vault_ca_file,
        token=given.vault_token,
        token_file=given.vault_token_file,
        role_id=given.vault_role_id.reveal() if given.vault_role_id else None,
        secret_id=given.vault_secret_id,
        secret_id_wrapped=given.vault_secret_id_wrapped,
        approle_mount=table.get("approle_mount", values.path, "approle"),
    )
    table.refuse_others()
    return settings


def _redis_url(table: Table, given: Environment, problems: Problems) -> Secret:
    url = table.get("url", values.redis_url, Secret(""))
    if "REDIS_URL" not in given.given and not table.has("url"):
        problems.note(
            f"{WHERE}: REDIS_URL", "is missing; set it, or url under [redis], such as redis://127.0.0.1:6379/0"
        )
    table.refuse_others()
    return given.redis_url or url


def _worker(table: Table) -> WorkerSettings:
    settings = WorkerSettings(
        concurrency=table.get("concurrency", values.whole(1, 256), 8),
        tick=table.get("tick", values.duration, timedelta(seconds=5)),
        audit_every=table.get("audit_every", values.duration, timedelta(hours=1)),
        verify_within=table.get("verify_within", values.duration, timedelta(minutes=2)),
        dead_within=table.get("dead_within", values.duration, timedelta(minutes=20)),
        lease=table.get("lease", values.duration, timedelta(minutes=2)),
    )
    table.refuse_others()
    if settings.lease < SHORTEST_LEASE:
        table.note("lease", f"is too short; at least {format_duration(SHORTEST_LEASE)} are needed to take over safely")
    if settings.tick > settings.lease:
        table.note("tick", f"is longer than lease ({format_duration(settings.lease)}); at most that is allowed")
    return settings
