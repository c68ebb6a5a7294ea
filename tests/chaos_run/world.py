"""The world of a chaos run: real servers, many targets, and worker processes on them."""

from __future__ import annotations

import http.client
import secrets
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import redis

from tests.chaos_run.accounts import ACCOUNTS, account_of, entries_of, variable_of
from tests.chaos_run.listening import Listener, listening
from tests.chaos_run.texts import API_KEY_PATH, ROLE, Pace, configuration, copies_of, rights
from worker.sandbox.files import private_folder, replace_private
from worker.sandbox.servers import ValkeyServer, VaultServer, start_valkey, start_vault
from worker.sandbox.simulator.controls import KnownKey
from worker.sandbox.simulator.process import SimulatorProcess, start_simulator
from worker.sandbox.texts import MOUNT, STATE_PATH, SandboxOptions
from worker.sandbox.vault_admin import VaultAdmin
from worker.secret import Secret
from worker.selftest.evidence import Evidence, Mount, Watched, gather, redis_texts
from worker.selftest.nursery import Nursery, WorkerProcess
from worker.service.celery_app import make_app
from worker.targets.durations import parse_duration
from worker.targets.fields import PRESETS

LOG = "worker.log"
SPREAD = 0.3
LINGER = 0.3
"""Seconds; the same all the time: a key that has spread to where it was seen does not vanish again."""

KEPT_VERSIONS = 10_000
"""Of each app's secret, so that the checker sees every version that there ever was."""


@dataclass(slots=True)
class World:
    """All of it. Servers that are started anew take the place of the ones before.

    ``simulators`` are by account, each of its own HostUp.
    """

    folder: Path
    pace: Pace
    targets: tuple[Watched, ...]
    simulators: Mapping[str, SimulatorProcess]
    vault: VaultServer
    valkey: ValkeyServer
    nursery: Nursery
    listener: Listener
    environment: dict[str, str] = field(repr=False)
    workers: dict[str, WorkerProcess] = field(default_factory=dict)
    ended: list[WorkerProcess] = field(default_factory=list)
    nobody_writes: threading.Lock = field(default_factory=threading.Lock)
    """Held while Vault is set back, and by a person who writes to it."""

    @property
    def log(self) -> Path:
        """What all workers logged."""
        return self.folder / LOG

    @property
    def mount(self) -> Mount:
        """The records and secrets, as root reads them."""
        return Mount(self.vault.admin, MOUNT, STATE_PATH)

    def simulator_of(self, target: str) -> SimulatorProcess:
        """The HostUp of a target's account."""
        return self.simulators[account_of(target)]

    def keys(self) -> Mapping[str, KnownKey]:
        """Every key there ever was, of all accounts, by name."""
        return {name: key for each in self.simulators.values() for name, key in each.admin.keys().items()}

    @property
    def lease(self) -> float:
        """In seconds."""
        return parse_duration(self.pace.lease).total_seconds()

    def start(self, name: str) -> None:
        """Start the worker of that name; the first two have a beat inside."""
        beat = name in ("worker-0", "worker-1")
        self.workers[name] = self.nursery.start(self.environment, self.log, concurrency=8, beat=beat)

    def start_all(self) -> None:
        """Start every worker that there was."""
        for name in list(self.workers):
            self.start(name)

    def kill_workers(self) -> None:
        """All of them, also those that were about to end."""
        for worker in (*self.workers.values(), *self.ended):
            worker.kill()
        self.ended.clear()

    def ask_for(self, names: Iterable[str], reason: str) -> None:
        """Ask for a rotation of each, as another app does."""
        app = make_app(self.valkey.url)
        for name in names:
            app.send_task("rotator.rotate", args=[name, reason], task_id=str(uuid.uuid4()))
        app.close()

    def current(self, target: Watched) -> str:
        """The key that is current on record."""
        return str(((self.mount.record(target.name) or {}).get("current") or {}).get("access_key"))

    def keep_versions(self, target: Watched) -> bool:
        """Have every version of an app's secret and its copies kept, for the checker; whether Vault took it."""
        body, paths = {"max_versions": KEPT_VERSIONS}, (target.path, *(path for _, _, path in target.copies))
        answers = [self.vault.admin.ask("POST", f"{MOUNT}/metadata/{path}", body) for path in paths]
        return all(status < http.client.BAD_REQUEST for status, _ in answers)

    def configure(self, every: str, api_key_every: str = "") -> None:
        """Write the configuration; workers that are started from now on have it."""
        addresses = {name: each.hostup for name, each in self.simulators.items()}
        text = configuration(addresses, self.pace, self.targets, every, api_key_every) + self.listener.settings
        replace_private(self.folder / "rotator.toml", text)

    def give_rights(self, *, all_of_them: bool = True) -> None:
        """Give the workers their rights in Vault, or none."""
        self.vault.admin.write_policy(ROLE, rights(self.targets) if all_of_them else {})

    def redis(self) -> redis.Redis:
        """A client past everything; to be closed by who asks for it."""
        return redis.Redis.from_url(self.valkey.url.reveal(), decode_responses=True)

    def evidence(self) -> Evidence:
        """Everything there is to judge by."""
        files = {"log": self.log, "stderr": self.log.with_suffix(".err")}
        texts = {name: file.read_text("utf-8") for name, file in files.items()}
        with self.redis() as client:
            texts["Redis"] = "\n".join(redis_texts(client))
        texts |= self.listener.texts()
        named = {"VAULT_SECRET_ID": self.environment["VAULT_SECRET_ID"]}
        for simulator in self.simulators.values():
            named |= {f"API key {key.key_id}": key.api_key for key in simulator.admin.api_keys()}
            named |= {key.access_key: key.secret_key for key in simulator.admin.keys().values()}
        first = gather(self.simulators[ACCOUNTS[0]].admin, self.mount, self.targets, texts, named)
        return replace(first, entries=tuple(entries_of({n: s.admin for n, s in self.simulators.items()})))


@contextmanager
def start_world(folder: Path, count: int, pace: Pace) -> Iterator[World]:
    """Start the servers and set up ``count`` targets; to be called in the main thread. No worker runs yet."""
    with ExitStack() as stack:
        simulators = {account: _start_simulator(folder, account, stack) for account in ACCOUNTS}
        vault = start_vault(folder / "vault", persistent=True)
        stack.callback(vault.stop)
        valkey = start_valkey(folder / "valkey")
        stack.callback(valkey.stop)
        nursery = stack.enter_context(Nursery(folder))
        log = folder / LOG
        for file in (log, log.with_suffix(".err")):
            file.touch(0o600)
        listener = stack.enter_context(listening(log))
        environment = {
            **listener.environment,
            "ROTATOR_CONFIG": str(folder / "rotator.toml"),
            **{variable_of(name): simulators[name].admin.api_keys()[0].api_key for name in ACCOUNTS[1:]},
            "VAULT_ADDR": vault.address,
            "REDIS_URL": valkey.url.reveal(),
            **_log_in(vault.admin),
        }
        world = World(folder, pace, _targets(count, pace), simulators, vault, valkey, nursery, listener, environment)
        stack.callback(_stop_valkey, world)
        _set_up(world)
        yield world


def _start_simulator(folder: Path, account: str, stack: ExitStack) -> SimulatorProcess:
    own = private_folder(folder / account)
    api_key = replace_private(own / "api-key", secrets.token_urlsafe(24))
    simulator = start_simulator(own, api_key, SandboxOptions(spread=SPREAD, linger=LINGER))
    stack.callback(simulator.stop)
    return simulator


def _stop_valkey(world: World) -> None:
    """The one that runs now, if it was started anew."""
    world.valkey.stop()


def _set_up(world: World) -> None:
    for simulator in world.simulators.values():
        simulator.admin.behave(record_s3="changes")
        simulator.admin.add_key("made by hand, before the rotator came")
    key = world.simulators[ACCOUNTS[0]].admin.api_keys()[0]
    content = {"data": {"api_key": key.api_key, "key_id": key.key_id}}
    world.vault.admin.call("POST", f"{MOUNT}/data/{API_KEY_PATH}", content)
    for target in world.targets:
        world.keep_versions(target)
    world.give_rights()
    world.configure(world.pace.every, world.pace.api_key_every)


def _targets(count: int, pace: Pace) -> tuple[Watched, ...]:
    """Targets whose apps want the presets of names in turn."""
    presets = list(PRESETS)
    grace = parse_duration(pace.grace)
    return tuple(_target(number, presets[number % len(presets)], grace) for number in range(count))


def _target(number: int, preset: str, grace: timedelta) -> Watched:
    name, path = f"app-{number:03}", f"apps/{preset}/{number:03}"
    return Watched(name, path, grace, PRESETS[preset].name_of("access_key"), copies_of(number, path))


def _log_in(admin: VaultAdmin) -> dict[str, str]:
    """A role whose tokens live so short that renewing them and logging in again is part of the run."""
    admin.enable_approle()
    role = admin.app_role(ROLE, {"token_policies": ROLE, "token_ttl": "20s", "token_max_ttl": "60s"})
    return {"VAULT_ROLE_ID": role.role_id, "VAULT_SECRET_ID": role.secret_id.reveal()}


def person_environment(world: World) -> dict[str, str]:
    """The environment of a person with every right in Vault."""
    named = ("ROTATOR_CONFIG", "VAULT_ADDR", "REDIS_URL", *map(variable_of, ACCOUNTS[1:]))
    given = {name: world.environment[name] for name in named}
    return {**given, "VAULT_TOKEN": world.vault.root_token.reveal()}


def app_token(world: World) -> Secret:
    """A token that may only read what apps read."""
    admin = world.vault.admin
    admin.write_policy("apps", {f"{MOUNT}/data/apps/*": ["read"]})
    return admin.issue_token("apps", "24h")
