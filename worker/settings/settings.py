"""The settings: ``config/rotator.toml`` and the environment, checked as a whole before anything starts.

:func:`load` is the only way in. Where both say something, the environment wins; secrets stand in the environment, or
in files that it names, and never in the configuration file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BaseModel, StrictBool, ValidationError

from worker.secret import Secret
from worker.settings.accounts import all_accounts, check_api_keys, names_in, read_accounts
from worker.settings.channels import Channel
from worker.settings.destinations import DestinationSettings, read_destinations, roots_of
from worker.settings.environment import (
    WHERE,
    Need,
    Variable,
    is_set,
    place_of,
    read_environment,
    variables,
)
from worker.settings.file import find_file, read_file
from worker.settings.freezes import read_freezes
from worker.settings.hostup import AccountSettings, HostUpSettings, StorageSettings
from worker.settings.key_path import check_bootstrap, check_key_paths, key_in_vault
from worker.settings.leak_webhook import LeakWebhookSettings, check_secret
from worker.settings.log import LogSettings
from worker.settings.logins import check_logins
from worker.settings.metrics import MetricsSettings
from worker.settings.notify import read_channels
from worker.settings.problems import Problems, show_key, unknown
from worker.settings.proxies import Proxies, login_secrets, proxy_secrets
from worker.settings.redis_url import exposure, redis_passwords
from worker.settings.targets import Known, read_targets
from worker.settings.telemetry import SentrySettings, Telemetry, telemetry
from worker.settings.values import (
    FILE,
    STRICT,
    QueueName,
    RedisUrl,
)
from worker.settings.vault import VaultSettings
from worker.settings.worker import WorkerSettings
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.target import Target

__all__ = [
    "AccountSettings",
    "HostUpSettings",
    "Need",
    "Settings",
    "StorageSettings",
    "VaultSettings",
    "WorkerSettings",
    "load",
]

M = TypeVar("M", bound=BaseModel)

QUEUE = "hostup-rotator"
"""The queue of a name of its own, so that no other app on the same database takes our messages, or we theirs."""


class RedisSettings(BaseModel):
    """``[redis]``. ``insecure``: a password may go to another machine in the clear.

    ``queue``: where messages come in; no other program reads there.
    """

    model_config = STRICT

    url: Annotated[RedisUrl, Variable("REDIS_URL", "redis://127.0.0.1:6379/0")] = Secret("")
    insecure: StrictBool = False
    queue: QueueName = QUEUE
    url_file: Annotated[Path | None, Variable("REDIS_URL_FILE")] = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set; ``file`` is where it was read.

    ``hostup`` and ``storage`` are those of the default account; ``accounts`` are all of them by name, that one first.
    """

    file: Path
    hostup: HostUpSettings
    storage: StorageSettings
    vault: VaultSettings
    redis_url: Secret
    queue: str
    redis_url_file: Path | None
    worker: WorkerSettings
    metrics: MetricsSettings
    log: LogSettings
    targets: Mapping[str, Target]
    proxies: Proxies
    proxy_secrets: tuple[Secret, ...]
    channels: tuple[Channel, ...] = ()
    leak_webhook: LeakWebhookSettings = field(default_factory=LeakWebhookSettings)
    accounts: Mapping[str, AccountSettings] = field(default_factory=dict)
    destinations: Mapping[str, DestinationSettings] = field(default_factory=dict)
    telemetry: Telemetry = field(default_factory=Telemetry)

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret in here; for redaction."""
        given = (self.vault.token, self.vault.secret_id, self.redis_url, self.leak_webhook.secret)
        of_channels = (secret for channel in self.channels for secret in channel.secrets())
        of_accounts = (each.hostup for each in self.accounts.values())
        of_hostup = (key for each in (self.hostup, *of_accounts) for key in (each.api_key, each.bootstrap_key))
        known = (secret for secret in (*of_hostup, *given) if secret)
        elsewhere = (secret for destination in self.destinations.values() for secret in destination.secrets())
        more = (*of_channels, *elsewhere, *self.telemetry.hidden())
        return (*known, *redis_passwords(self.redis_url), *self.proxy_secrets, *more)


_TABLES = (
    *("hostup", "storage", "vault", "redis", "worker", "metrics", "log", "leak_webhook"),
    *("account", "target", "destination", "freeze", "notify"),
)


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
    document = problems.attempt(lambda: read_file(file), None)
    check_logins(env, _needed_at_once(needs, document), problems, key_in_vault=key_in_vault(document))
    hostup = read_environment(HostUpSettings, env, problems)
    vault = read_environment(VaultSettings, env, problems)
    redis = read_environment(RedisSettings, env, problems)
    metrics = read_environment(MetricsSettings, env, problems)
    hook = read_environment(LeakWebhookSettings, env, problems)
    sentry = read_environment(SentrySettings, env, problems)
    proxies = problems.attempt(lambda: Proxies.of(env), Proxies())
    if document is None:
        raise problems.as_error()
    for name in document:
        if name not in _TABLES:
            problems.note(f"{file}: {show_key(name)}", unknown(name, _TABLES))
    hostup = _over(_table("hostup", HostUpSettings, document, file, problems), hostup)
    storage = _table("storage", StorageSettings, document, file, problems)
    vault = _over(_table("vault", VaultSettings, document, file, problems), vault)
    redis = _over(_table("redis", RedisSettings, document, file, problems), redis)
    worker = _table("worker", WorkerSettings, document, file, problems)
    metrics = _over(_table("metrics", MetricsSettings, document, file, problems), metrics)
    log = _table("log", LogSettings, document, file, problems)
    hook = _over(_table("leak_webhook", LeakWebhookSettings, document, file, problems), hook)
    check_secret(hook, env, needs, problems)
    _check_missing(document, env, problems)
    if redis.url.reveal() and not redis.insecure and (exposed := exposure(redis.url)):
        problems.note(f"{WHERE}: {place_of('REDIS_URL', env)}", exposed)
    freezes = read_freezes(str(file), document.get("freeze", []), problems)
    own_paths = (vault.state_path, vault.receipts_path)
    listed = document.get("account", [])
    others = read_accounts(str(file), listed, env, problems)
    elsewhere = document.get("destination", [])
    destinations = read_destinations(str(file), elsewhere, vault, env, needs, problems)
    roots, all_targets = roots_of(vault, destinations, elsewhere), document.get("target", [])
    targets = read_targets(str(file), all_targets, Known(own_paths, names_in(listed), freezes, roots), problems, only)
    accounts = all_accounts(AccountSettings(DEFAULT_ACCOUNT, hostup, storage), others, all_targets)
    check_bootstrap(str(file), hostup, others, problems)
    check_key_paths(str(file), accounts, own_paths, roots, all_targets, problems)
    _check_accounts(file, accounts, worker, needs, targets, problems)
    channels = read_channels(
        str(file),
        document.get("notify", []),
        targets if only is None else {},
        env if Need.NOTICES in needs else None,
        problems,
    )
    problems.raise_any()
    if vault.token_file:  # it is read again whenever it changes; here it was only seen that it can be
        vault = vault.model_copy(update={"token": None})
    hidden = proxy_secrets(env) + (login_secrets(vault.proxy.reveal()) if vault.proxy else ())
    return Settings(
        file,
        hostup,
        storage,
        vault,
        redis.url,
        redis.queue,
        redis.url_file,
        worker,
        metrics,
        log,
        targets,
        proxies,
        hidden,
        channels,
        hook,
        accounts,
        destinations,
        telemetry(env, sentry.dsn),
    )


def _needed_at_once(needs: Need, document: Mapping[str, object] | None) -> Need:
    """What the environment has to give, whatever the targets are: with several accounts they say whose API key."""
    return needs & ~Need.HOSTUP if (document or {}).get("account") else needs


def _check_accounts(
    file: Path,
    accounts: Mapping[str, AccountSettings],
    worker: WorkerSettings,
    needs: Need,
    targets: Mapping[str, Target],
    problems: Problems,
) -> None:
    """See that the API keys are there that are needed, and a thread for each account."""
    if accounts.keys() - {DEFAULT_ACCOUNT}:
        check_api_keys(accounts, targets.values(), needs, problems)
    if worker.concurrency < len(accounts):
        what = f"is too few for {len(accounts)} accounts; each needs one, so that none waits for another"
        problems.note(f"{file}: [worker] concurrency", what)


def _table(name: str, model: type[M], document: Mapping[str, object], file: Path, problems: Problems) -> M:
    """What the file sets of a model; the defaults where, with problems noted, something is wrong."""
    table = document.get(name, {})
    if not isinstance(table, dict):
        problems.note(f"{file}: {name}", f"must be a table, written [{name}]")
        return model()
    elsewhere = {key for key, variable in variables(model).items() if not variable.example}
    allowed = [key for key in model.model_fields if key not in elsewhere]
    where = f"{file}: [{name}] "
    for key in table:
        if key not in allowed:
            problems.note(where + show_key(key), unknown(key, allowed))
    try:
        return model.model_validate({key: table[key] for key in allowed if key in table}, context=FILE)
    except ValidationError as error:
        problems.note_invalid(error, lambda key: where + key, model)
        return model()


def _over(in_file: M, in_environment: M) -> M:
    return in_file.model_copy(update={key: getattr(in_environment, key) for key in in_environment.model_fields_set})


def _check_missing(document: Mapping[str, object], env: Mapping[str, str], problems: Problems) -> None:
    """See that what has no default is set, right or wrong, in the file or the environment."""
    for name, model in (("vault", VaultSettings), ("redis", RedisSettings)):
        table = document.get(name)
        for key, variable in variables(model).items():
            if variable.example and not is_set(variable.name, env) and not (isinstance(table, dict) and key in table):
                what = f"is missing; set it, or {key} under [{name}], such as {variable.example}"
                problems.note(f"{WHERE}: {variable.name}", what)
