"""A test stand: real Vault and Valkey for many trials, and for each trial an account, a target and proxies of its own.

Everything that a worker says to HostUp, to the object storage, to Vault and to Redis goes by a proxy, so a trial can
strike at any step. Trials do not see each other: own paths and role in Vault, own database in Valkey, own simulator.
"""

from __future__ import annotations

import queue
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import redis

from worker.sandbox.files import private_folder, replace_private
from worker.sandbox.servers import LOOPBACK, ValkeyServer, VaultServer, start_valkey, start_vault
from worker.sandbox.simulator.behaviour import Behaviour
from worker.sandbox.simulator.controls import KnownApiKey
from worker.sandbox.simulator.server import Listening, Simulator
from worker.sandbox.texts import MOUNT, ROLE, STATE_PATH, policy
from worker.secret import Secret
from worker.selftest.evidence import Evidence, Mount, Watched, gather, redis_texts
from worker.selftest.nursery import Nursery, WorkerProcess
from worker.selftest.proxy import HttpProxy
from worker.selftest.redis_proxy import RedisProxy
from worker.selftest.script import Script
from worker.service.celery_app import make_app

DATABASES = range(1, 16)
"""What a Valkey has by default; so many trials at once. Not 0: it is not selected, which would be a step."""

TARGET = "media"
API_KEY = "hostup"
"""What the secret with the API key is called."""

COPIES = "copies"
"""The mount of a destination."""

SURELY = timedelta(seconds=90)
"""What it may take beside ``watch_every``: a second look, and another worker's start where the first one was killed."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a trial's life goes: durations as the configuration takes them; ``target``: more lines of the target.

    ``copies``: the target has two copies of its secret, one of them in another mount, as in another Vault.
    ``key_in_vault``: the API key lies there and not in the environment; ``hostup``: more lines of ``[hostup]``;
    ``bootstrap``: there is a key that makes another one.
    """

    grace: str = "1s"
    tick: str = "1s"
    lease: str = "3s"
    audit_every: str = "2s"
    verify_within: str = "5s"
    dead_within: str = "20s"
    watch_every: str = "1h"
    target: str = ""
    copies: bool = False
    hostup: str = ""
    key_in_vault: bool = False
    bootstrap: bool = False


@dataclass(frozen=True, slots=True)
class Stand:
    """One trial's world. ``script`` is that of all four proxies; ``environment`` is what a worker needs."""

    name: str
    folder: Path
    simulator: Simulator
    script: Script
    hostup: HttpProxy
    s3: HttpProxy
    vault: HttpProxy
    redis_proxy: RedisProxy
    mount: Mount
    direct: redis.Redis = field(repr=False)
    broker: Secret
    watched: Watched
    environment: Mapping[str, str] = field(repr=False)
    rights: Mapping[str, list[str]] = field(repr=False)

    @property
    def log(self) -> Path:
        """What all workers of the trial logged."""
        return self.folder / "worker.log"

    def worker(self, nursery: Nursery, *, concurrency: int = 1, beat: bool = False) -> WorkerProcess:
        """Start one more worker."""
        return nursery.start(self.environment, self.log, concurrency=concurrency, beat=beat)

    def send(self, task: str, *args: str | bool, task_id: str | None = None) -> None:
        """Send a message past the proxy, as another app does."""
        app = make_app(self.broker)
        try:
            app.send_task(task, args=args, task_id=task_id)
        finally:
            app.close()

    def give_rights(self, rights: Mapping[str, list[str]]) -> None:
        """Let the worker's role have these rights in Vault: capabilities by path."""
        self.mount.vault.write_policy(self.name, rights)

    @property
    def key_path(self) -> str:
        """Where the API key lies in the mount, if it lies in Vault."""
        return f"{self.name}/{API_KEY}"

    def put_api_key(self, key: KnownApiKey) -> None:
        """Write an API key to Vault, as a person does."""
        content = {"api_key": key.api_key, "key_id": key.key_id, "note": "of a person's"}
        self.mount.vault.call("POST", f"{self.mount.mount}/data/{self.key_path}", {"data": content})

    def evidence(self) -> Evidence:
        """Everything there is to judge by now."""
        logs = {"log": self.log, "stderr": self.log.with_suffix(".err")}
        texts = {name: file.read_text("utf-8") if file.exists() else "" for name, file in logs.items()}
        texts["Redis"] = "\n".join(redis_texts(self.direct))
        wanted = ("HOSTUP_API_KEY", "VAULT_SECRET_ID")
        named = {name: self.environment[name] for name in wanted if name in self.environment}
        named |= {f"API key {key.key_id}": key.api_key for key in self.simulator.admin.api_keys()}
        return gather(self.simulator.admin, self.mount, [self.watched], texts, named)


@dataclass(frozen=True, slots=True)
class Bench:
    """The servers that all trials share, and the nursery of their workers."""

    folder: Path
    vault: VaultServer
    valkey: ValkeyServer
    nursery: Nursery
    databases: queue.SimpleQueue[int] = field(default_factory=queue.SimpleQueue)

    @contextmanager
    def stand(self, name: str, pace: Pace | None = None, behaviour: Behaviour | None = None) -> Iterator[Stand]:
        """Set up a trial of that name (part of paths in Vault, so used once), and clear it away."""
        database = self.databases.get()
        try:
            with ExitStack() as stack:
                yield self._set_up(name, database, pace or Pace(), behaviour or Behaviour(), stack)
        finally:
            self.databases.put(database)

    def _set_up(self, name: str, database: int, pace: Pace, behaviour: Behaviour, stack: ExitStack) -> Stand:
        folder = private_folder(self.folder / name)
        api_key = secrets.token_urlsafe(24)
        script = Script({name: "{trial}", TARGET: "{target}"})
        s3 = stack.enter_context(HttpProxy("s3", "http://127.0.0.1:9", script))
        simulator = stack.enter_context(Simulator(api_key, behaviour, Listening(s3_url=s3.url)))
        s3.upstream = simulator.s3_server
        simulator.admin.add_key("made by hand, before the rotator came")
        hostup = stack.enter_context(HttpProxy("hostup", simulator.url, script))
        vault = stack.enter_context(HttpProxy("vault", self.vault.address, script))
        redis_proxy = stack.enter_context(RedisProxy((LOOPBACK, self.valkey.port), script))
        broker = _with_database(self.valkey, self.valkey.port, database)
        direct = stack.enter_context(redis.Redis.from_url(broker.reveal(), decode_responses=True))
        direct.flushdb()
        state_path = f"{name}/state"
        key_path = f"{name}/{API_KEY}" if pace.key_in_vault else ""
        grace = _seconds(pace.grace)
        within = _seconds(pace.watch_every) + SURELY
        watched = Watched(
            TARGET, f"{name}/app", grace, copies=_copies(name) if pace.copies else (), found_within=within
        )
        rights = {path.replace(STATE_PATH, state_path): given for path, given in policy([watched.path]).items()}
        rights |= _rights_on_copies(watched)
        if key_path:
            rights[f"{MOUNT}/data/{key_path}"] = ["create", "update", "read"]
        lines = f'api_key_path = "{key_path}"\n{pace.hostup}' if key_path else pace.hostup
        settings = _configuration(hostup.url, state_path, watched, replace(pace, hostup=lines))
        config = replace_private(folder / "rotator.toml", settings)
        environment = {
            "ROTATOR_CONFIG": str(config),
            **({} if pace.key_in_vault else {"HOSTUP_API_KEY": api_key}),
            "VAULT_ADDR": vault.url,
            "REDIS_URL": _with_database(self.valkey, redis_proxy.port, database).reveal(),
            # nothing here speaks TLS, and loading the system's authorities takes a third of a worker's start
            "SSL_CERT_DIR": str(folder),
        }
        mount = Mount(self.vault.admin, MOUNT, state_path)
        stand = Stand(
            name,
            folder,
            simulator,
            script,
            hostup,
            s3,
            vault,
            redis_proxy,
            mount,
            direct,
            broker,
            watched,
            environment,
            rights,
        )
        stand.give_rights(stand.rights)
        if pace.key_in_vault:
            stand.put_api_key(simulator.admin.api_keys()[0])
        if pace.bootstrap:
            environment["HOSTUP_BOOTSTRAP_KEY"] = simulator.admin.add_api_key("bootstrap").api_key
        return replace(stand, environment={**environment, **_log_in(self.vault, name)})


@contextmanager
def start_bench(folder: Path) -> Iterator[Bench]:
    """Start the shared servers; to be called in the main thread. Raises what :mod:`worker.sandbox.servers` raises."""
    with ExitStack() as stack:
        nursery = stack.enter_context(Nursery(folder))
        vault = start_vault(folder / "vault")
        stack.callback(vault.stop)
        valkey = start_valkey(folder / "valkey")
        stack.callback(valkey.stop)
        vault.admin.enable_approle()
        vault.admin.call("POST", f"sys/mounts/{COPIES}", {"type": "kv", "options": {"version": "2"}})
        bench = Bench(folder, vault, valkey, nursery)
        for number in DATABASES:
            bench.databases.put(number)
        yield bench


def _seconds(text: str) -> timedelta:
    number, unit = int(text[:-1]), text[-1]
    return timedelta(**{{"s": "seconds", "m": "minutes", "h": "hours"}[unit]: number})


def _copies(name: str) -> tuple[tuple[str, str, str], ...]:
    return (f"{name}/copy", MOUNT, f"{name}/copy"), (f"far:{name}/copy", COPIES, f"{name}/copy")


def _rights_on_copies(watched: Watched) -> dict[str, list[str]]:
    rights = {f"{COPIES}/config": ["read"]} if watched.copies else {}
    for _, mount, path in watched.copies:
        rights[f"{mount}/data/{path}"] = ["create", "update", "read"]
        rights[f"{mount}/destroy/{path}"] = ["update"]
        rights[f"{mount}/undelete/{path}"] = ["update"]
    return rights


def _with_database(valkey: ValkeyServer, port: int, database: int) -> Secret:
    return Secret(f"redis://:{valkey.password.reveal()}@{LOOPBACK}:{port}/{database}")


def _log_in(vault: VaultServer, name: str) -> dict[str, str]:
    role = vault.admin.app_role(name, ROLE | {"token_policies": name})
    return {"VAULT_ROLE_ID": role.role_id, "VAULT_SECRET_ID": role.secret_id.reveal()}


def _configuration(hostup: str, state_path: str, target: Watched, pace: Pace) -> str:
    return f"""
[hostup]
base_url = "{hostup}"
{pace.hostup}
[vault]
mount = "{MOUNT}"
state_path = "{state_path}"
[worker]
messages_per_hour = 3600
leaked_by_message = true
tick = "{pace.tick}"
audit_every = "{pace.audit_every}"
verify_within = "{pace.verify_within}"
dead_within = "{pace.dead_within}"
watch_every = "{pace.watch_every}"
lease = "{pace.lease}"
[[target]]
name = "{target.name}"
path = "{target.path}"
every = "400d"
grace = "{pace.grace}"
{pace.target}
{_also(target)}
"""


def _also(target: Watched) -> str:
    if not target.copies:
        return ""
    names = ", ".join(f'"{name}"' for name, _, _ in target.copies)
    return f'also = [{names}]\n[[destination]]\nname = "far"\nmount = "{COPIES}"'
