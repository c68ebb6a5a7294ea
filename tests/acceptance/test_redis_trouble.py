"""Redis that cannot be used, or that never can, and a real worker: said once, in words, and over by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import pytest
import redis

from tests.acceptance.service import APP_PASSWORD, WORKER_PASSWORD, Service
from tests.acceptance.test_command import run
from tests.acceptance.test_metrics import answers, get, listen
from tests.integration.test_redis_refuses import cluster
from tests.redis_users import make_users
from tests.sandbox import wait_until
from worker.adapters.redis import keys
from worker.selftest import actions
from worker.selftest.redis_proxy import RedisProxy
from worker.selftest.script import Moment, Rule, Script


@dataclass(frozen=True, slots=True)
class Trouble:
    """How a Redis comes to refuse what a worker does, and how it is mended."""

    word: str
    why: str
    begin: Callable[[redis.Redis], object]
    end: Callable[[redis.Redis], object]


def _give_rights_back(client: redis.Redis) -> None:
    make_users(client, worker=WORKER_PASSWORD, app=APP_PASSWORD)
    client.acl_log_reset()  # what was refused here is no right that lacks


TROUBLES = (
    Trouble(
        "OOM",
        "out of memory",
        lambda client: client.config_set("maxmemory", 1),
        lambda client: client.config_set("maxmemory", 0),
    ),
    Trouble(
        "READONLY",
        "it is a replica",
        lambda client: client.replicaof("127.0.0.1", "1"),
        lambda client: client.replicaof("NO", "ONE"),
    ),
    Trouble(
        "NOPERM",
        "its user may not do this",
        lambda client: client.acl_setuser("worker", enabled=True, commands=["-@scripting", "-zadd"]),
        _give_rights_back,
    ),
)


def _fill_the_disk(client: redis.Redis) -> None:
    """Its snapshots fail from now on, as a folder has their name."""
    _snapshot(client).mkdir()
    client.config_set("save", "3600 1")
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "a snapshot that failed")


def _empty_the_disk(client: redis.Redis) -> None:
    """And have a snapshot succeed: `rotator check` of the next tests would tell of the one that failed."""
    client.config_set("save", "")
    _snapshot(client).rmdir()
    client.bgsave()
    wait_until(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "ok", "a snapshot that succeeded")
    _snapshot(client).unlink()


def _snapshot(client: redis.Redis) -> Path:
    return Path(str(client.config_get("dir")["dir"]), "dump.rdb")


COMMANDS = 5
CANNOT_SAVE = Trouble("MISCONF", "it cannot save to its disk", _fill_the_disk, _empty_the_disk)


@contextmanager
def by_proxy(service: Service, script: Script) -> Iterator[RedisProxy]:
    """Have workers and commands reach Redis by a proxy; they end before it does."""
    assert service.sandbox.valkey is not None
    with RedisProxy(("127.0.0.1", service.sandbox.valkey.port), script) as proxy:
        url = service.redis_url_of("worker", WORKER_PASSWORD)
        through = url.replace(service.sandbox.valkey.address, f"127.0.0.1:{proxy.port}")
        service.more = {"REDIS_URL_FILE": "", "REDIS_URL": through}
        yield proxy
        service.end()


@pytest.mark.parametrize("trouble", [*TROUBLES, CANNOT_SAVE], ids=lambda trouble: trouble.word)
def test_a_trouble_that_begins_while_a_worker_starts(service: Service, trouble: Trouble) -> None:
    """Redis refuses from the first script on that a worker runs there: it is that which fills the due set."""
    script, met = Script(), Event()
    strike = actions.first(actions.call(lambda: trouble.begin(service.redis)), actions.call(met.set))
    script.add(Rule(Moment.BEFORE, strike, method="EVALSHA"))
    with by_proxy(service, script):
        worker = service.start()
        try:
            wait_until(met.is_set, "the first script")
            told = worker.wait_for("queue.unavailable")
            assert trouble.why in told["error"]
            assert f"({trouble.word})" in told["error"]
            tried = len(script.trace())
            wait_until(lambda: len(script.trace()) > tried + COMMANDS, "it goes on trying")
        finally:
            trouble.end(service.redis)
        worker.wait_for("rotation.succeeded")
        worker.wait_for("queue.available")
        assert [event["error"] for event in worker.events("queue.unavailable")] == [told["error"]], "it is said once"
        assert "beat: " not in worker.log.read_text("utf-8"), "nor does Celery's beat say it over and over"
        assert worker.events("error.uncaught") == []


def test_a_connection_that_hangs_half_open_is_given_up_while_it_waits_for_messages(service: Service) -> None:
    script = Script()
    with by_proxy(service, script) as proxy:
        worker = service.start()
        worker.wait_for("rotation.succeeded")
        wait_until(lambda: any(seen.method == "BRPOP" for seen in script.trace()), "it waits for messages")
        proxy.freeze()  # nothing gets through, and nothing is closed
        wait_until(lambda: "Connection to broker lost" in worker.log.read_text("utf-8"), "it is given up")
        assert "it does not answer in time" in worker.wait_for("queue.unavailable")["error"]
        proxy.thaw()
        service.rotate()
        worker.wait_for("queue.available")
        assert worker.process.poll() is None


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.word)
def test_a_trouble_is_told_once_when_it_begins_and_once_when_it_ends(service: Service, trouble: Trouble) -> None:
    url = listen(service)
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    trouble.begin(service.redis)
    try:
        told = worker.wait_for("queue.unavailable")
        assert f"{trouble.why}" in told["error"]
        assert f"({trouble.word})" in told["error"]
        wait_until(answers(url, "/readyz", 503), "it is not ready")
        assert "redis: QueueUnavailable\n" in get(url, "/readyz").text
        seen = json.loads(service.rotator("check", "--json").stdout)
        assert "failed" in [each["state"] for each in seen if each["check"] == "Redis"]
        assert service.rotator("rotate", service.target).returncode in (0, 75), "it is on record in Vault"
    finally:
        trouble.end(service.redis)
    worker.wait_for("rotation.succeeded", 2)
    worker.wait_for("queue.available")
    wait_until(answers(url, "/readyz", 200), "it is ready again")
    assert worker.process.poll() is None
    errors = [event["error"] for event in worker.events("queue.unavailable")]
    assert len(errors) == len(set(errors)), "each trouble is said once"
    assert len(service.made()) == 2


@pytest.mark.parametrize(("database", "why"), [("", "it is a cluster"), ("/3", "it has no database of that number")])
def test_a_cluster_is_refused_at_the_start_with_words(
    service: Service, tmp_path: Path, database: str, why: str
) -> None:
    with cluster(tmp_path) as port:
        done = run(service, "worker", REDIS_URL_FILE="", REDIS_URL=f"redis://127.0.0.1:{port}{database}")
    assert done.code == 78
    assert f"REDIS_URL: cannot be used: {why}" in done.out + done.err
    assert "Traceback" not in done.out + done.err


def test_a_worker_whose_health_file_cannot_be_written_is_there_all_the_same(service: Service) -> None:
    service.more = {"ROTATOR_HEALTH_FILE": "/proc/none/health"}
    worker = service.start()
    told = worker.wait_for("pulse.failed", 2)
    assert "health file cannot be written" in told["error"]
    worker.wait_for("rotation.succeeded")
    assert service.redis.zcard(keys.WORKERS) == 1
