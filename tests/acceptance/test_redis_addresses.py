"""Addresses and names of Redis as people have them, each with a real worker and the real command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest
import redis
from celery import Celery

from tests.acceptance.service import APP_PASSWORD, WORKER_PASSWORD, Service
from tests.integration.test_redis_socket import on_a_socket
from tests.redis_users import make_users
from tests.sandbox import wait_until
from tests.servers import free_port, stop
from tests.wire import LOOPBACK_PEM
from worker.settings.settings import QUEUE

OTHER_QUEUE = "keys-of-storage"
FIRST_AND_ASKED = 2
TRUSTING = f"ssl_cert_reqs=required&ssl_ca_certs={LOOPBACK_PEM}"
SHOWING = f"&ssl_certfile={LOOPBACK_PEM}&ssl_keyfile={LOOPBACK_PEM}"


def goes_by(service: Service, url: str) -> None:
    """Have workers and the command find Redis there."""
    service.more = {"REDIS_URL_FILE": "", "REDIS_URL": url}


def rotates(service: Service) -> None:
    """A worker makes the first key, and another one when the command asks; ``rotator check`` finds nothing wrong."""
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    service.rotate()
    assert len(worker.events("rotation.succeeded")) == FIRST_AND_ASKED
    assert worker.events("queue.unavailable") == []
    assert verdicts_of_redis(service) == ["ok"]


def verdicts_of_redis(service: Service) -> list[str]:
    seen = json.loads(service.rotator("check", "--json").stdout)
    return [each["state"] for each in seen if each["check"] == "Redis"]


@pytest.fixture
def users_of_other_queue(service: Service) -> Iterator[None]:
    """The users that are shipped, with another queue's name in the place of the usual one."""
    make_users(service.redis, worker=WORKER_PASSWORD, app=APP_PASSWORD, queue=OTHER_QUEUE)
    yield
    service.end()
    make_users(service.redis, worker=WORKER_PASSWORD, app=APP_PASSWORD)


@pytest.mark.usefixtures("users_of_other_queue")
def test_a_queue_of_another_name_is_the_only_one(service: Service) -> None:
    service.tables = f'[redis]\nqueue = "{OTHER_QUEUE}"\n'
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    broker = service.redis_url_of("app", APP_PASSWORD)
    Celery(broker=broker, set_as_current=False).send_task(
        "rotator.rotate", args=[service.target], kwargs={"reason": "leaked"}, queue=OTHER_QUEUE
    )
    worker.wait_for("rotation.succeeded", FIRST_AND_ASKED)
    service.rotate()
    assert len(service.made()) == FIRST_AND_ASKED + 1
    worker.kill()
    assert service.rotator("rotate", service.target).returncode == 0
    assert service.redis.llen(OTHER_QUEUE) > 0, "it waits there for a worker"
    others = [str(key) for key in service.redis.scan_iter() if QUEUE in str(key) or "celery" in str(key)]
    assert others == [], "nothing lands in the queue that this worker has by default, nor in Celery's"


@contextmanager
def behind_tls(service: Service) -> Iterator[str]:
    """Redis behind TLS that asks for a certificate; its address without options."""
    assert service.sandbox.valkey is not None
    port = free_port()
    command = [sys.executable, "-m", "worker.sandbox.tls", "--certificate", str(LOOPBACK_PEM)]
    command += ["--key", str(LOOPBACK_PEM), "--client-authority", str(LOOPBACK_PEM)]
    front = subprocess.Popen([*command, f"{port}={service.sandbox.valkey.address}"], stdin=subprocess.DEVNULL)
    url = f"rediss://worker:{quote(WORKER_PASSWORD)}@127.0.0.1:{port}/{service.database}"
    try:
        with redis.Redis.from_url(f"{url}?{TRUSTING}{SHOWING}") as client:
            wait_until(lambda: answers(client), "Redis behind TLS")
        yield url
    finally:
        service.end()
        stop(front)


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_tls_with_an_authority_of_ones_own_and_a_certificate_of_the_clients(service: Service) -> None:
    with behind_tls(service) as url:
        goes_by(service, f"{url}?{TRUSTING}{SHOWING}")
        rotates(service)
        for options in (TRUSTING, f"ssl_cert_reqs=required{SHOWING}"):
            goes_by(service, f"{url}?{options}")
            assert verdicts_of_redis(service) == ["failed"], f"it is not let in, or does not trust: {options}"


@pytest.mark.parametrize("form", ["unix://:p%2Fw%25d@{}?db=3", "redis+socket://:p%2Fw%25d@{}?virtual_host=3"])
def test_a_socket_of_this_machine(service: Service, form: str) -> None:
    with on_a_socket() as path:
        goes_by(service, form.format(path))
        rotates(service)
        with redis.Redis(unix_socket_path=str(path), password="p/w%d") as client:
            assert client.info("keyspace").keys() == {"db3"}, "Celery and the worker use the one that the address names"
        service.end()
