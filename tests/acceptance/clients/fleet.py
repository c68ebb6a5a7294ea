"""Clients that run side by side, each on a machine of its own as far as it can tell."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.acceptance.clients.gate import Gate
from tests.acceptance.clients.kinds import RESTIC, Kind, Start, Way, repository
from tests.acceptance.service import Service, s3_client
from tests.sandbox import wait_until

ROTATOR = [sys.executable, "-P", "-m", "worker.cli"]


@dataclass(frozen=True, slots=True)
class Client:
    """A running client, and what is in front of the two servers that it asks."""

    kind: Kind
    folder: Path
    process: subprocess.Popen[str]
    vault: Gate
    storage: Gate
    said: list[str] = field(default_factory=list)
    """Of each call what went wrong, empty where nothing did; another thread appends."""

    @property
    def errors(self) -> list[str]:
        return [error for error in self.said if error]

    @property
    def refused(self) -> int:
        """Also what the client tried again by itself."""
        return self.storage.count(403)

    @property
    def keys(self) -> set[str]:
        """Those that the storage took from it."""
        return {call.access_key for call in self.storage.calls if call.status < 400}

    @property
    def reads(self) -> int:
        """How often Vault was asked for the secret."""
        return len(self.vault.calls)

    @property
    def starts(self) -> int:
        """How often the helper was started: it leaves a byte each time."""
        file = self.folder / "starts"
        return file.stat().st_size if file.exists() else 0

    def listen(self) -> None:
        """Read what it says, until it ends."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(json.loads(line)["error"])


@contextmanager
def started(
    service: Service, kinds: Sequence[Kind], refresh: str = "30s", told_grace: int | None = None
) -> Iterator[list[Client]]:
    """All of them, after the first call of each; ended by the end of their stdin.

    ``refresh`` is how often our own commands look at Vault, at most. ``told_grace``: the seconds of grace that they
    read in the secret, if others than are in it.
    """
    assert service.sandbox.vault is not None
    rights = {f"secret/data/{service.path}": ["read"]}
    service.sandbox.vault.admin.write_policy("client", rights)
    token = service.sandbox.vault.admin.issue_token("client", "1h")
    (service.folder / "client-token").write_text(token.reveal())
    with ExitStack() as stack:
        clients = [_start(stack, service, kind, refresh, told_grace) for kind in kinds]
        for client in clients:
            wait_until(partial(_has_called, client), f"a call of {client.kind.name}")
        yield clients
        for client in clients:  # all at once
            assert client.process.stdin is not None
            client.process.stdin.close()


def make_buckets(service: Service, kinds: Sequence[Kind]) -> None:
    """One for each, with an object in it; restic wants its repository."""
    secret = service.published()
    assert secret is not None
    s3 = s3_client(secret)
    for kind in kinds:
        s3.create_bucket(Bucket=_bucket(service, kind))
        s3.put_object(Bucket=_bucket(service, kind), Key="object", Body=b"body")
        if kind == RESTIC:
            start = Start(service.sandbox.simulator.s3, _bucket(service, kind), service.folder, service.path, "")
            keys = {"AWS_ACCESS_KEY_ID": secret["access_key"], "AWS_SECRET_ACCESS_KEY": secret["secret_key"]}
            env = {"PATH": os.environ["PATH"], "HOME": str(service.folder), **keys, **repository(start)}
            made = subprocess.run(["restic", "init"], env=env, capture_output=True, text=True, check=False, timeout=120)
            assert made.returncode == 0, made.stderr


def _bucket(service: Service, kind: Kind) -> str:
    return f"{kind.name}-{service.target}"


def _has_called(client: Client) -> bool:
    assert runs(client), (client.folder / "log").read_text("utf-8", "replace")
    return bool(client.said)


def runs(client: Client) -> bool:
    """Whether the process that was started first still is the one."""
    return client.process.poll() is None


def _telling(grace: int, body: bytes) -> bytes:
    return re.sub(rb'("grace_seconds":\s*)\d+', rb"\g<1>%d" % grace, body)


def _start(stack: ExitStack, service: Service, kind: Kind, refresh: str, told_grace: int | None) -> Client:
    assert service.sandbox.vault is not None
    folder = service.folder / kind.name
    folder.mkdir()
    changed = {} if told_grace is None else {"changed": partial(_telling, told_grace)}
    vault = stack.enter_context(Gate(service.sandbox.vault.address, **changed))
    storage = stack.enter_context(Gate(service.sandbox.simulator.s3))
    start = Start(storage.url, _bucket(service, kind), folder, service.path, refresh)
    env = _machine(service, folder, vault) | dict(kind.environment(start))
    env |= stack.enter_context(_way(kind.way, start, env))
    process = stack.enter_context(_program(kind.command(start), env, folder / "log"))
    client = Client(kind, folder, process, vault, storage)
    listening = threading.Thread(target=client.listen, daemon=True)
    listening.start()
    stack.callback(listening.join)
    stack.callback(_end, process)
    return client


def _machine(service: Service, folder: Path, vault: Gate) -> dict[str, str]:
    """Vault and a token that reads the one secret; nothing of the worker's."""
    (folder / "runtime").mkdir(mode=0o700)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder / "runtime"),
        "VAULT_ADDR": vault.url,
        "VAULT_TOKEN_FILE": str(service.folder / "client-token"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }


@contextmanager
def _way(way: Way, start: Start, env: dict[str, str]) -> Iterator[dict[str, str]]:
    """What a client's environment needs for its way to the key."""
    match way:
        case Way.ENDPOINT:
            command = [*ROTATOR, "serve-credentials", "--listen", "127.0.0.1:0", "--path", start.path]
            command += ["--refresh", start.refresh]
            with _program(command, env, start.folder / "endpoint-log") as serving:
                assert serving.stdout is not None
                lines = [serving.stdout.readline().strip() for _ in range(3)]
                yield dict(line.split("=", 1) for line in lines[1:])
                serving.send_signal(signal.SIGTERM)
        case Way.PROCESS:
            helper = start.folder / "helper"
            helper.write_text(f'#!/bin/sh\nprintf . >> {start.folder}/starts\nexec {shlex.join(ROTATOR)} "$@"\n')
            helper.chmod(0o700)
            # minio-go looks here, and the SDKs, too
            (start.folder / ".aws").mkdir()
            settings = (
                f"[default]\ncredential_process = {helper} credentials --path {start.path} --refresh {start.refresh}\n"
            )
            (start.folder / ".aws" / "credentials").write_text(settings)
            yield {}
        case Way.FILE:
            file = start.folder / ".aws" / "credentials"
            file.parent.mkdir()
            command = [*ROTATOR, "render", "--path", start.path, "--format", "aws", "--to", str(file)]
            command += ["--refresh", start.refresh]
            with _program(command, env, start.folder / "render-log") as rendering:
                wait_until(lambda: file.exists() or rendering.poll() is not None, "the file with the key")
                yield {}
                rendering.send_signal(signal.SIGTERM)
        case Way.PYTHON:
            yield {}


@contextmanager
def _program(command: Sequence[str], env: dict[str, str], log: Path) -> Iterator[subprocess.Popen[str]]:
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    with process:  # its pipes are closed after it has ended
        try:
            yield process
        finally:
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """A client ends when its stdin does; what does not is killed, with what it has started."""
    if process.stdin and not process.stdin.closed:
        process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
