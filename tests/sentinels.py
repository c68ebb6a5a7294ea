"""A real set of servers with Sentinels, which can be struck and mended: killed, frozen, cut off from everybody."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.servers import free_port, stop, wait_until
from worker.sandbox.binaries import valkey_binary
from worker.secret import Secret
from worker.selftest.redis_proxy import RedisProxy
from worker.selftest.script import Script

LOOPBACK = "127.0.0.1"
MASTER = "the-set"
PASSWORD, SENTINEL_PASSWORD = "p@:/#%+?w;", "s@:/#%+?w;"
SENTINELS, SERVERS, QUORUM = 3, 2, 2
DOWN_AFTER_MS, FAILOVER_MS = 1500, 6000


class Front(Protocol):
    """What stands before a server, at the port that everybody knows."""

    port: int

    def freeze(self) -> None:
        """Let nothing through, and end no connection."""

    def thaw(self) -> None:
        """Let everything through."""


class Blow(StrEnum):
    """What becomes of a primary."""

    KILLED = "killed"
    FROZEN = "frozen"
    CUT_OFF = "cut off"


@dataclass(slots=True)
class Node:
    """One server, reached by everybody through a proxy, which can cut it off."""

    port: int
    folder: Path
    front: Front
    process: subprocess.Popen[bytes]

    def strike(self, blow: Blow) -> None:
        match blow:
            case Blow.KILLED:
                self.process.kill()
                self.process.wait()
            case Blow.FROZEN:
                self.process.send_signal(signal.SIGSTOP)
            case Blow.CUT_OFF:
                self.front.freeze()

    def mend(self) -> None:
        self.front.thaw()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
        else:
            self.process = _run(self.folder / "valkey.conf")


@dataclass(frozen=True, slots=True)
class SentinelSet:
    """A primary with a replica, and three Sentinels."""

    nodes: tuple[Node, ...]
    sentinels: tuple[int, ...]

    def url(self, database: int = 0) -> Secret:
        """As ``REDIS_URL`` has it."""
        first, *others = (f"sentinel://{LOOPBACK}:{port}" for port in self.sentinels)
        login = f"sentinel://:{quote(PASSWORD, safe='')}@"
        options = f"?master_name={MASTER}&sentinel_password={quote(SENTINEL_PASSWORD, safe='')}"
        return Secret(";".join([f"{first.replace('sentinel://', login)}/{database}", *others]) + options)

    def primary(self) -> Node:
        """The one that the Sentinels name."""
        with _client(self.sentinels[0], SENTINEL_PASSWORD) as sentinel:
            found = sentinel.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(node for node in self.nodes if node.front.port == int(found[1]))

    def is_whole(self) -> bool:
        """Whether one server is the primary, all others follow it, and every Sentinel knows that."""
        try:
            return _is_followed(self.nodes) and all(map(_sees_all, self.sentinels))
        except redis.RedisError:
            return False


Fronts = Callable[[int], AbstractContextManager[Front]]
"""What makes a front for the server at that port."""


def _proxy(port: int) -> AbstractContextManager[Front]:
    return RedisProxy((LOOPBACK, port), Script())


@contextmanager
def sentinel_set(folder: Path, front: Fronts = _proxy) -> Iterator[SentinelSet]:
    """Start one; it is whole when it is handed out."""
    with ExitStack() as stack:
        nodes: list[Node] = []
        for number in range(SERVERS):
            port = free_port()
            follows = nodes[0].front.port if nodes else 0
            nodes.append(_node(folder / f"server-{number}", port, stack.enter_context(front(port)), follows))
            stack.callback(partial(_end, nodes[-1]))
        # Sentinels ask a primary for its replicas when they start, and then every ten seconds
        wait_until(lambda: _is_followed(nodes), "a primary that is followed")
        ports = tuple(_sentinel(folder / f"sentinel-{number}", nodes[0], stack) for number in range(SENTINELS))
        made = SentinelSet(tuple(nodes), ports)
        wait_until(made.is_whole, "a whole set")
        yield made


def _node(folder: Path, port: int, front: Front, follows: int) -> Node:
    folder.mkdir(parents=True)
    lines = [
        f"port {port}",
        f"bind {LOOPBACK}",
        f'dir "{folder}"',
        'save ""',
        f'requirepass "{PASSWORD}"',
        f'masterauth "{PASSWORD}"',
        f"replica-announce-ip {LOOPBACK}",
        f"replica-announce-port {front.port}",
        "repl-diskless-sync-delay 0",
        *([f"replicaof {LOOPBACK} {follows}"] if follows else []),
    ]
    (folder / "valkey.conf").write_text("\n".join(lines) + "\n")
    return Node(port, folder, front, _run(folder / "valkey.conf"))


def _sentinel(folder: Path, primary: Node, stack: ExitStack) -> int:
    folder.mkdir(parents=True)
    port = free_port()
    lines = [
        f"port {port}",
        f"bind {LOOPBACK}",
        f'dir "{folder}"',
        f'requirepass "{SENTINEL_PASSWORD}"',
        f'sentinel sentinel-pass "{SENTINEL_PASSWORD}"',
        f"sentinel monitor {MASTER} {LOOPBACK} {primary.front.port} {QUORUM}",
        f'sentinel auth-pass {MASTER} "{PASSWORD}"',
        f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
        f"sentinel failover-timeout {MASTER} {FAILOVER_MS}",
    ]
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    child = _run(folder / "sentinel.conf", "--sentinel")
    stack.callback(lambda: stop(child))
    return port


def _run(config: Path, *more: str) -> subprocess.Popen[bytes]:
    with (config.parent / "log").open("ab") as log:
        return subprocess.Popen([valkey_binary(), str(config), *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _end(node: Node) -> None:
    if node.process.poll() is None:
        node.process.send_signal(signal.SIGCONT)
        stop(node.process)


def _client(port: int, password: str) -> redis.Redis:
    return redis.Redis(
        port=port, password=password, socket_timeout=1, decode_responses=True, retry=Retry(NoBackoff(), 0)
    )


def _is_followed(nodes: Sequence[Node]) -> bool:
    try:
        return sorted(_follows(node.port) for node in nodes) == [False, *[True] * (SERVERS - 1)]
    except redis.RedisError:
        return False


def _follows(port: int) -> bool:
    """Whether it is a replica that has its primary; raises RedisError while it is one that has not."""
    with _client(port, PASSWORD) as client:
        facts = client.info("replication")
    if facts["role"] == "slave" and facts["master_link_status"] != "up":
        raise redis.ConnectionError("it has lost its primary")
    return bool(facts["role"] == "slave")


def _sees_all(port: int) -> bool:
    with _client(port, SENTINEL_PASSWORD) as sentinel:
        state = sentinel.execute_command("SENTINEL", "MASTER", MASTER)
        replicas = sentinel.execute_command("SENTINEL", "REPLICAS", MASTER)
    up = [each for each in replicas if each["flags"] == "slave"]
    return state["flags"] == "master" and int(state["num-other-sentinels"]) == SENTINELS - 1 and len(up) == SERVERS - 1
