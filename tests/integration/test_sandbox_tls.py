"""What docker-compose.yml's sandbox puts in front of the simulator and of Vault."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.servers import free_port, stop, wait_until
from tests.wire import LOOPBACK_PEM
from worker.sandbox.wire import HttpServer, Request, Response

BIG = b"x" * 1_000_000


def echo(request: Request) -> Response:
    return Response(200, request.body)


def connects(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


@contextmanager
def front(server_port: int) -> Iterator[str]:
    port = free_port()
    options = ["--certificate", str(LOOPBACK_PEM), "--key", str(LOOPBACK_PEM), f"{port}=127.0.0.1:{server_port}"]
    child = subprocess.Popen([sys.executable, "-m", "worker.sandbox.tls", *options], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: connects(port), "the front listens")
        yield f"https://127.0.0.1:{port}"
    finally:
        stop(child)
    assert child.returncode == 0, "SIGTERM is its orderly end"


def client(context: ssl.SSLContext) -> httpx.Client:
    return httpx.Client(verify=context, trust_env=False, timeout=10)


def trusting() -> httpx.Client:
    return client(ssl.create_default_context(cafile=LOOPBACK_PEM))


def test_bytes_go_both_ways_and_the_connection_is_kept() -> None:
    with HttpServer(echo) as server, front(server.port) as url, trusting() as http:
        for body in (b"", b"hello", BIG):
            assert http.post(url, content=body).content == body


def test_several_clients_at_once() -> None:
    with HttpServer(echo) as server, front(server.port) as url, trusting() as one, trusting() as other:
        assert one.post(url, content=b"1").content == b"1"
        assert other.post(url, content=b"2").content == b"2"
        assert one.post(url, content=b"3").content == b"3"


def test_who_does_not_trust_the_certificate_sends_nothing() -> None:
    with (
        HttpServer(echo) as server,
        front(server.port) as url,
        client(ssl.create_default_context()) as http,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        http.get(url)


def test_without_a_server_behind_it_the_connection_ends_and_later_it_works() -> None:
    port = free_port()
    with front(port) as url, trusting() as http:
        with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):  # at once, no time-out
            http.get(url)
        with HttpServer(echo, port=port):
            assert http.post(url, content=b"now").content == b"now"
