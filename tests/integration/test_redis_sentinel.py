"""Real Sentinels: the address means the same to Celery, to us and to check, with TLS and passwords on both sides."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest
import redis

from tests.integration.scene import Scene, scene_on
from tests.records import empty
from tests.sentinels import LOOPBACK, MASTER, SentinelSet, sentinel_set
from tests.servers import free_port, stop, wait_until
from tests.wire import LOOPBACK_PEM
from worker.adapters.redis.client import connect
from worker.adapters.redis.state import shared_state
from worker.cli.check_redis import look
from worker.cli.verdicts import Verdict
from worker.sandbox.listener import Listener
from worker.sandbox.servers import ValkeyServer
from worker.secret import Secret
from worker.service.celery_app import make_app

TLS_FRONT = (
    *(sys.executable, "-m", "worker.sandbox.tls"),
    *("--certificate", str(LOOPBACK_PEM), "--key", str(LOOPBACK_PEM)),
)
TLS = f"&ssl_cert_reqs=required&ssl_ca_certs={LOOPBACK_PEM}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelSet]:
    with sentinel_set(tmp_path_factory.mktemp("set")) as made:
        yield made


def meet(url: Secret, database: int) -> None:
    """A message that Celery sends lies where our own client looks."""
    with connect(url) as client, make_app(url) as app:
        client.flushdb()
        app.send_task("rotator.tick")
        assert client.llen("hostup-rotator") == 1
        assert client.client_info()["db"] == database


def test_celery_and_redis_meet_at_the_primary(whole: SentinelSet) -> None:
    meet(whole.url(3), 3)


class Sniffing:
    """A server's port at which it speaks TLS to those who begin so: the Sentinels here do not."""

    def __init__(self, plain: int) -> None:
        self.plain, self.by_tls = plain, free_port()
        self._listener = Listener(self._serve)
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.stop()

    def freeze(self) -> None:
        raise NotImplementedError

    thaw = freeze

    def _serve(self, client: socket.socket) -> None:
        speaks_tls = client.recv(1, socket.MSG_PEEK) == b"\x16"
        try:
            server = socket.create_connection((LOOPBACK, self.by_tls if speaks_tls else self.plain))
        except ConnectionRefusedError:
            return  # what is behind has not begun yet, or has ended
        with server:
            back = threading.Thread(target=_carry, args=(server, client), daemon=True)
            back.start()
            _carry(client, server)
            back.join()


def _carry(here: socket.socket, there: socket.socket) -> None:
    with suppress(OSError):  # either side may leave at any moment
        while data := here.recv(65_536):
            there.sendall(data)
        there.shutdown(socket.SHUT_RDWR)


def test_celery_and_redis_meet_at_the_primary_by_tls_and_with_passwords_on_both_sides(tmp_path: Path) -> None:
    with sentinel_set(tmp_path / "set", Sniffing) as made, ExitStack() as stack:
        sentinels = {free_port(): port for port in made.sentinels}
        servers = {node.front.by_tls: node.port for node in made.nodes if isinstance(node.front, Sniffing)}
        forwards = [f"{front}={LOOPBACK}:{port}" for front, port in {**sentinels, **servers}.items()]
        stack.callback(stop, subprocess.Popen([*TLS_FRONT, "--host", LOOPBACK, *forwards]))
        url = Secret(replace(made, sentinels=tuple(sentinels)).url(4).reveal() + TLS)
        with connect(url) as client:
            wait_until(lambda: _pings(client), "the set behind TLS answers")
        meet(url, 4)
        stranger = Secret(url.reveal().replace(f"&ssl_ca_certs={LOOPBACK_PEM}", ""))
        with connect(stranger) as client:
            assert not _pings(client), "this authority is nobody's"


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer) -> Scene:
    """On another Redis; only what is looked at is the set."""
    return scene_on(tmp_path, client, server, empty())


def told(scene: Scene, url: Secret) -> list[Verdict]:
    with connect(url) as client:
        settings = replace(scene.runtime.settings, redis_url=url)
        return list(look(replace(scene.runtime, settings=settings, shared=shared_state(client))))


def test_check_says_how_the_sentinels_are(scene: Scene, whole: SentinelSet) -> None:
    verdict, primary, *_ = told(scene, whole.url(5))
    assert (verdict.check, verdict.state, verdict.detail) == ("Sentinels", "ok", f"3 answer and know {MASTER}")
    assert primary.state == "ok"


def test_check_names_the_sentinel_that_is_away(scene: Scene, whole: SentinelSet) -> None:
    away = replace(whole, sentinels=(1, *whole.sentinels[1:]))
    verdict, primary, *_ = told(scene, away.url(5))
    assert verdict.state == "warning"
    assert verdict.detail == "127.0.0.1:1: Connection refused (ConnectionError)"
    assert primary.state == "ok", "another one was asked"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (f"master_name={MASTER}", "master_name=other", "knows no set other"),
        ("sentinel_password=s", "sentinel_password=x", "refuses this user or password (WRONGPASS)"),
    ],
)
def test_check_says_what_is_wrong_with_an_address_of_sentinels(
    scene: Scene, whole: SentinelSet, old: str, new: str, words: str
) -> None:
    verdict, primary, *_ = told(scene, Secret(whole.url(5).reveal().replace(old, new)))
    assert verdict.state == "failed"
    assert words in verdict.detail
    assert primary.state == "failed"
    assert "no Sentinel names a primary that runs" in primary.detail
