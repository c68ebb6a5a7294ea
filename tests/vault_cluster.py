"""Three real Vault nodes with raft: one is active, and where standbys answer reads themselves they may be behind."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.servers import free_port, stop, vault_binary, wait_until

NODES = 3
LOOPBACK = "127.0.0.1"
READY = 200


@dataclass(frozen=True, slots=True)
class Cluster:
    """By their addresses; the first is the active node."""

    nodes: tuple[str, ...]
    root_token: str

    @property
    def active(self) -> str:
        """Who writes."""
        return self.nodes[0]

    @property
    def standbys(self) -> tuple[str, ...]:
        """Who hand writes on."""
        return self.nodes[1:]

    def call(self, method: str, path: str, body: object = None) -> Any:
        """One call of the active node, as root."""
        return _call(self.active, method, path, body, self.root_token)


@contextmanager
def vault_cluster(folder: Path) -> Iterator[Cluster]:
    """With KV version 2 at ``secret``, ready on all nodes."""
    with ExitStack() as stack:
        nodes = [_start(folder, 0, None, stack)]
        made = _call(nodes[0], "PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        key, token = made["keys_base64"][0], made["root_token"]
        _unseal(nodes[0], key)
        for number in range(1, NODES):
            nodes.append(_start(folder, number, nodes[0], stack))
            _unseal(nodes[-1], key)
        cluster = Cluster(tuple(nodes), token)
        wait_until(lambda: _status(nodes[0], "sys/health", "") == READY, "there is an active node")
        cluster.call("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        for node in nodes:
            wait_until(lambda node=node: _has_mount(node, token), f"{node} has the mount")  # type: ignore[misc]
        yield cluster


def _start(folder: Path, number: int, leader: str | None, stack: ExitStack) -> str:
    own = folder / f"node-{number}"
    (own / "data").mkdir(parents=True)
    port, cluster_port = free_port(), free_port()
    address = f"http://{LOOPBACK}:{port}"
    raft: dict[str, Any] = {"path": str(own / "data"), "node_id": f"node-{number}", "performance_multiplier": "1"}
    if leader:
        raft["retry_join"] = [{"leader_api_addr": leader}]
    listener = {
        "address": f"{LOOPBACK}:{port}",
        "cluster_address": f"{LOOPBACK}:{cluster_port}",
        "tls_disable": True,
    }
    settings = {
        "storage": {"raft": raft},
        "listener": {"tcp": listener},
        "api_addr": address,
        "cluster_addr": f"https://{LOOPBACK}:{cluster_port}",
        "disable_mlock": True,
    }
    (own / "vault.json").write_text(json.dumps(settings))
    with (own / "vault.log").open("wb") as log:
        command = [vault_binary(), "server", f"-config={own / 'vault.json'}"]
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
    stack.callback(stop, child)
    wait_until(lambda: _status(address, "sys/health", "") is not None, f"node {number} answers")
    return address


def _unseal(node: str, key: str) -> None:
    def is_unsealed() -> bool:
        answer = httpx.put(f"{node}/v1/sys/unseal", json={"key": key}, trust_env=False, timeout=10)
        return answer.status_code == READY and answer.json()["sealed"] is False

    wait_until(is_unsealed, f"{node} has joined, and is unsealed")


def _has_mount(node: str, token: str) -> bool:
    return _status(node, "secret/data/is-it-ready", token) == httpx.codes.NOT_FOUND


def _status(node: str, path: str, token: str) -> int | None:
    try:
        headers = {"X-Vault-Token": token}
        return httpx.get(f"{node}/v1/{path}", headers=headers, trust_env=False, timeout=10).status_code
    except httpx.TransportError:
        return None


def _call(node: str, method: str, path: str, body: object, token: str = "") -> Any:
    headers = {"X-Vault-Token": token}
    answer = httpx.request(method, f"{node}/v1/{path}", json=body, headers=headers, trust_env=False, timeout=30)
    answer.raise_for_status()
    return answer.json() if answer.content else {}
