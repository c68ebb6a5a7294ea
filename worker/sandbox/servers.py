"""Real servers as children: Vault (or OpenBao) and Valkey (or Redis), on free ports of 127.0.0.1.

Call everything here from the main thread: on Linux the servers die with the thread that started them.
"""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from worker.errors import RotatorError, VaultRefused
from worker.sandbox.binaries import valkey_binary, vault_binary
from worker.sandbox.children import end, free_port, kill, spawn, wait_until
from worker.sandbox.files import private_folder, replace_private
from worker.sandbox.vault_admin import VaultAdmin
from worker.secret import Secret

LOOPBACK = "127.0.0.1"
_NO_CLUSTER = f"https://{LOOPBACK}:1"
"""Raft wants the address that other nodes reach it at, and there are none."""

T = TypeVar("T")

_TRIES = 3
"""A port that was free may be taken a moment later by somebody else."""


@dataclass(frozen=True, slots=True)
class ValkeyServer:
    """A running Valkey; ``address`` has no password, ``url`` has."""

    port: int
    password: Secret
    folder: Path
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> Secret:
        """What ``REDIS_URL`` takes."""
        return Secret(f"redis://:{self.password.reveal()}@{self.address}/0")

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def stop(self) -> None:
        """End it in good order; may be called twice."""
        end(self.process)

    def kill(self) -> None:
        """Kill -9: only what its append-only file holds is left."""
        kill(self.process)

    def restart(self) -> ValkeyServer:
        """End it if it runs, and start it on the same port, folder and password. Raises RotatorError."""
        self.stop()
        return replace(self, process=_run_valkey(self.folder, self.port, self.password))


def start_valkey(folder: Path, *, password: str | None = None, port: int = 0) -> ValkeyServer:
    """Start Valkey with its append-only file in ``folder``; port 0 takes a free one.

    Raises ConfigurationError when there is no such server on this machine, RotatorError when it does not start.
    """
    private_folder(folder)
    secret = Secret(password or secrets.token_urlsafe(24))
    return _on_a_port(port, lambda port: ValkeyServer(port, secret, folder, _run_valkey(folder, port, secret)))


def _run_valkey(folder: Path, port: int, password: Secret) -> subprocess.Popen[bytes]:
    settings = {
        "bind": LOOPBACK,
        "port": str(port),
        "requirepass": password.reveal(),
        "dir": json.dumps(str(folder)),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
    }
    log = folder / "valkey.log"
    # By standard input: a command line can be read by everybody on the machine.
    given = "".join(f"{name} {value}\n" for name, value in settings.items())
    child = spawn([valkey_binary(), "-"], log, given=given)
    return _once(child, lambda: _pongs(port, password), "Valkey", log)


def _pongs(port: int, password: Secret) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), 5) as connection, connection.makefile("rb") as replies:
            connection.sendall(f"AUTH {password.reveal()}\r\nPING\r\n".encode())
            return [replies.readline(), replies.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class VaultServer:
    """A running Vault, unsealed, with KV version 2 at ``secret``; its one unseal key and root token are held here.

    ``persistent`` ones keep their data over :meth:`restart`, also after :meth:`kill`.
    """

    port: int
    root_token: Secret
    unseal_key: Secret
    folder: Path
    persistent: bool
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def address(self) -> str:
        """What ``VAULT_ADDR`` takes."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    @property
    def admin(self) -> VaultAdmin:
        """Calls as root."""
        return VaultAdmin(self.address, self.root_token)

    def stop(self) -> None:
        """End it in good order; may be called twice."""
        end(self.process)

    def kill(self) -> None:
        """Kill -9."""
        kill(self.process)

    def seal(self) -> None:
        """Seal it; raises VaultRefused."""
        self.admin.call("PUT", "sys/seal")

    def unseal(self) -> None:
        """Unseal it, and wait until it takes requests; raises RotatorError."""
        _unseal(self.admin, self.unseal_key, self.process, _log(self.folder))

    def restart(self) -> VaultServer:
        """End it if it runs, start it on the same port with the same data, and unseal it. Raises RotatorError."""
        if not self.persistent:
            raise RotatorError("this Vault keeps its data in memory", hint="Start it with persistent=True.")
        self.stop()
        started = replace(self, process=_run_vault(self.folder, self.port, persistent=True))
        started.unseal()
        return started


def start_vault(folder: Path, *, persistent: bool = False, port: int = 0) -> VaultServer:
    """Start Vault with its log (and data, if persistent) in ``folder``: 0.5 s in memory, 2 s persistent.

    Raises ConfigurationError when there is no such server on this machine, RotatorError when it does not start.
    """
    private_folder(folder)
    return _on_a_port(port, lambda port: _new_vault(folder, port, persistent=persistent))


def _new_vault(folder: Path, port: int, *, persistent: bool) -> VaultServer:
    process = _run_vault(folder, port, persistent=persistent)
    try:
        unseal_key, root = _initialise(VaultAdmin(f"http://{LOOPBACK}:{port}"))
        server = VaultServer(port, root, unseal_key, folder, persistent, process)
        server.unseal()
        server.admin.call("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        # Until the engine is through with its upgrade to version 2 it answers 400 to everything.
        probe = "secret/data/is-it-ready"
        wait_until(lambda: server.admin.ask("GET", probe)[0] == 404, "Vault", process, _log(folder))  # noqa: PLR2004
    except BaseException:
        end(process)
        raise
    return server


def _initialise(bare: VaultAdmin) -> tuple[Secret, Secret]:
    try:
        made = bare.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
    except VaultRefused as error:
        # Ours is new: this is another one that was quicker to take the port.
        raise RotatorError(f"another Vault answers at {bare.address}", hint="Start it on another port.") from error
    return Secret(made["keys_base64"][0]), Secret(made["root_token"])


def _run_vault(folder: Path, port: int, *, persistent: bool) -> subprocess.Popen[bytes]:
    address = f"http://{LOOPBACK}:{port}"
    data = private_folder(folder / "data")
    raft = {"path": str(data), "node_id": "sandbox", "performance_multiplier": "1"}
    settings = {
        "storage": {"raft": raft} if persistent else {"inmem": {}},
        "listener": {"tcp": {"address": f"{LOOPBACK}:{port}", "cluster_address": f"{LOOPBACK}:0", "tls_disable": True}},
        "api_addr": address,
        "cluster_addr": _NO_CLUSTER,
        "disable_mlock": True,
    }
    replace_private(folder / "vault.json", json.dumps(settings, indent=2))
    child = spawn([vault_binary(), "server", f"-config={folder / 'vault.json'}"], _log(folder))
    return _once(child, lambda: VaultAdmin(address).health() is not None, "Vault", _log(folder))


def _unseal(admin: VaultAdmin, key: Secret, process: subprocess.Popen[bytes], log: Path) -> None:
    admin.call("PUT", "sys/unseal", {"key": key.reveal()})
    wait_until(lambda: admin.health() == 200, "Vault", process, log)  # noqa: PLR2004 - active


def _log(folder: Path) -> Path:
    return folder / "vault.log"


def _once(child: subprocess.Popen[bytes], answers: Callable[[], bool], what: str, log: Path) -> subprocess.Popen[bytes]:
    """The child, once it answers; one that does not is ended."""
    try:
        wait_until(answers, what, child, log)
    except BaseException:
        end(child)
        raise
    return child


def _on_a_port(port: int, run: Callable[[int], T]) -> T:
    """Run on the given port, or on a free one; another is tried when somebody else was quicker to take it."""
    for _ in range(0 if port else _TRIES - 1):
        try:
            return run(free_port())
        except RotatorError as error:
            if error.exit_code != RotatorError.exit_code:
                raise  # a missing server is not mended by another port
    return run(port or free_port())
