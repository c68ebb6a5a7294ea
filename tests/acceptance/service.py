"""The service as its users run it: real worker processes, the real command, real servers; only HostUp is simulated."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3  # type: ignore[import-untyped]  # it ships no types
import hvac  # type: ignore[import-untyped]  # it ships no types
import redis
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.redis_users import make_users
from tests.sandbox import wait_until
from worker.sandbox.files import replace_private
from worker.sandbox.run import Sandbox, start_sandbox
from worker.sandbox.simulator.process import SimulatorProcess, start_simulator
from worker.sandbox.texts import SandboxOptions

WORKER_PASSWORD, APP_PASSWORD = "the password of the worker", "the password of an app"

QUICK = SandboxOptions(spread=0.0, linger=0.0)
"""Keys work and die at once."""


@contextmanager
def sandbox_with_users(folder: Path) -> Iterator[Sandbox]:
    """A sandbox whose Redis has the users that are shipped, with the passwords above."""
    with start_sandbox(folder, QUICK, {}) as running:
        assert running.valkey
        with redis.Redis.from_url(running.valkey.url.reveal()) as server:
            make_users(server, worker=WORKER_PASSWORD, app=APP_PASSWORD)
        yield running


def start_second_account(folder: Path) -> tuple[SimulatorProcess, Path]:
    """A simulated HostUp of its own, and the file with its API key; the caller stops it."""
    folder.mkdir()
    key = replace_private(folder / "api-key", "the-key-of-the-second-account")
    return start_simulator(folder, key, QUICK), key


CANARIES = ("HOSTUP_API_KEY_FILE", "REDIS_URL_FILE")


@dataclass
class Worker:
    """One worker process and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.log.read_text("utf-8").rpartition("\n")[0].splitlines()  # the last one may be half written yet
        return [event for line in lines if line.startswith("{") and (event := json.loads(line))["event"] == name]

    def wait_for(self, name: str, count: int = 1) -> dict[str, Any]:
        wait_until(lambda: self._gone() or len(self.events(name)) >= count, f"{name} in the worker's log")
        assert len(self.events(name)) >= count, self.log.read_text("utf-8")[-3000:]
        return self.events(name)[count - 1]

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.process.wait(60)

    def _gone(self) -> bool:
        return self.process.poll() is not None


@dataclass
class Service:
    """One configuration with one target, and everything one can do with it."""

    sandbox: Sandbox
    folder: Path
    database: int
    every: str = "400d"
    grace: str = "2s"
    lease: str = "4s"
    verify_within: str = "20s"
    watch_every: str = "1h"
    audit_every: str = "1h"
    target_lines: str = ""
    """More of the target's settings."""
    dead_within: str = "20s"
    settings: str = ""
    """More lines of [worker]."""
    hostup: str = ""
    """More lines of [hostup]."""
    tables: str = ""
    """More tables of the configuration."""
    more: dict[str, str] = field(default_factory=dict)
    redis_login: tuple[str, str] | None = None
    """User and password of the workers and the command, if others than they always have."""
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.target = f"media-{uuid.uuid4().hex[:8]}"
        self.path = f"apps/{self.target}"
        self.state = f"state-{self.target}"
        self.sandbox.simulator.admin.clear()
        self.sandbox.simulator.admin.behave(spread=0.0, linger=0.0)
        self.since = len(self.sandbox.simulator.admin.ledger())
        assert self.sandbox.vault is not None
        self.vault = hvac.Client(url=self.sandbox.vault.address, token=self.sandbox.vault.root_token.reveal())
        self.redis.flushdb()

    @property
    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url, decode_responses=True)

    @property
    def redis_url(self) -> str:
        assert self.sandbox.valkey is not None
        return self.sandbox.valkey.url.reveal().removesuffix("/0") + f"/{self.database}"

    def redis_url_of(self, user: str, password: str) -> str:
        """The same database as a user of config/redis/users.acl; workers and commands have no other rights."""
        assert self.sandbox.valkey is not None
        return f"redis://{user}:{quote(password)}@{self.sandbox.valkey.address}/{self.database}"

    def environment(self) -> dict[str, str]:
        token = self.folder / "token"
        token.write_text(self.vault.token)
        url = self.folder / "redis-url"
        url.write_text(self.redis_url_of(*(self.redis_login or ("worker", WORKER_PASSWORD))))
        config = self.folder / "rotator.toml"
        config.write_text(self._config())
        return {
            "PATH": os.environ["PATH"],
            "ROTATOR_CONFIG": str(config),
            "HOSTUP_API_KEY_FILE": self.sandbox.environment["HOSTUP_API_KEY_FILE"],
            "VAULT_ADDR": self.sandbox.environment["VAULT_ADDR"],
            "VAULT_TOKEN_FILE": str(token),
            "REDIS_URL_FILE": str(url),
            **self.more,
        }

    def start(self, *arguments: str) -> Worker:
        return self.run_worker("worker.cli", "worker", *arguments)

    def run_worker(self, *module_and_arguments: str) -> Worker:
        """A worker by another entry than the command's."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *module_and_arguments],
                env=self.environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker

    def rotator(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "worker.cli", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def rotate(self) -> dict[str, Any]:
        done = self.rotator("rotate", self.target, "--wait", "--json")
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def end(self) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                worker.kill()

    def published(self) -> dict[str, Any] | None:
        try:
            answer = self.vault.secrets.kv.v2.read_secret_version(path=self.path, raise_on_deleted_version=True)
        except hvac.exceptions.InvalidPath:
            return None
        secret: dict[str, Any] = answer["data"]["data"]
        return secret | {"version": answer["data"]["metadata"]["version"]}

    def record(self) -> dict[str, Any]:
        answer = self.vault.secrets.kv.v2.read_secret_version(
            path=f"{self.state}/{self.target}", raise_on_deleted_version=True
        )
        found: dict[str, Any] = answer["data"]["data"]
        return found

    def made(self) -> list[str]:
        """The keys that HostUp made since this test began, whoever knows of them."""
        ledger = self.sandbox.simulator.admin.ledger(self.since)
        return [e["access_key"] for e in ledger if e["kind"] == "effect" and e["operation"] == "create"]

    def living(self) -> set[str]:
        made = self.made()  # first: a key that is made in between is among the keys, and not the other way round
        keys = self.sandbox.simulator.admin.keys()
        return {name for name in made if keys[name].exists}

    def works(self, secret: dict[str, Any]) -> bool:
        try:
            s3_client(secret).list_buckets()
        except ClientError:
            return False
        return True

    def everything_said(self) -> str:
        """All of the logs, and all that is in Redis."""
        logs = "".join(worker.log.read_text("utf-8") for worker in self.workers)
        return logs + "".join(_dump(self.redis, str(key)) for key in self.redis.scan_iter())

    def secrets(self) -> set[str]:
        """Every secret there is: of all keys, the API key, the passwords, the token."""
        keys = {key.secret_key for key in self.sandbox.simulator.admin.keys().values()}
        files = {Path(self.sandbox.environment[name]).read_text("utf-8").strip() for name in CANARIES}
        assert self.sandbox.valkey is not None
        return keys | files | {str(self.vault.token), self.sandbox.valkey.password.reveal()}

    def _config(self) -> str:
        return f"""
[hostup]
base_url = "{self.sandbox.simulator.hostup}"
{self.hostup}
[vault]
mount = "secret"
state_path = "{self.state}"
[worker]
tick = "1s"
lease = "{self.lease}"
verify_within = "{self.verify_within}"
dead_within = "{self.dead_within}"
watch_every = "{self.watch_every}"
audit_every = "{self.audit_every}"
{self.settings}
{self.tables}
[[target]]
name = "{self.target}"
path = "{self.path}"
every = "{self.every}"
grace = "{self.grace}"
{self.target_lines}
"""


def s3_client(secret: dict[str, Any]) -> Any:
    """For an app's secret, by its own names."""
    return boto3.client(
        "s3",
        endpoint_url=secret["endpoint"],
        region_name=secret["region"],
        aws_access_key_id=secret["access_key"],
        aws_secret_access_key=secret["secret_key"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def _dump(client: redis.Redis, key: str) -> str:
    match client.type(key):
        case "string":
            held: object = client.get(key)
        case "hash":
            held = client.hgetall(key)
        case "list":
            held = client.lrange(key, 0, -1)
        case "set":
            held = client.smembers(key)
        case _:
            held = client.zrange(key, 0, -1, withscores=True)
    return f"{key} {held}"
