"""The door for probes: it tells nothing but its pages, to however many ask, and lets its address go at once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http import HTTPStatus

import pytest
from structlog.testing import capture_logs

from tests.sandbox import wait_until
from tests.servers import free_port
from worker.events import Event
from worker.service.http_door import MOST_AT_ONCE, Answer, HttpDoor
from worker.settings.metrics import Listen

LONG = "x" * 3_000_000


def _fails() -> Answer:
    raise RuntimeError("a secret")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def door(port: int) -> Iterator[HttpDoor]:
    pages = {
        "/a": lambda: Answer(HTTPStatus.OK, "well\n"),
        "/long": lambda: Answer(HTTPStatus.OK, LONG),
        "/fails": _fails,
    }
    made = HttpDoor(Listen("127.0.0.1", port), pages)
    made.keep_open()
    yield made
    made.close()


def ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(1 << 20), b""))


def get(port: int, path: str) -> bytes:
    return ask(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


@pytest.mark.usefixtures("door")
def test_a_page_is_answered_whole(port: int) -> None:
    head, _, body = get(port, "/a?x=1").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"Content-Length: 5\r\n" in head
    assert body == b"well\n"
    assert get(port, "/long").endswith(b"\r\n\r\n" + LONG.encode())


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /b HTTP/1.1\r\n\r\n", 404),
        (b"GET /../a HTTP/1.1\r\n\r\n", 404),
        (b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", 501),
        (b"HEAD /a HTTP/1.1\r\n\r\n", 501),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /a HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
        (b"GET /a HTTP/1.1\r\n" + b"X: a\r\n" * 101 + b"\r\n", 431),
    ],
)
def test_anything_else_is_turned_away(port: int, request_bytes: bytes, status: int) -> None:
    assert ask(port, request_bytes).startswith(f"HTTP/1.0 {status} ".encode())


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("said", [b"\x16\x03\x01 a TLS\r\n\r\n", b"GET /fails\r\n\r\n", b"hello\r\n\r\n", b"\r\n"])
def test_who_speaks_another_protocol_is_told_a_few_words_at_most(port: int, said: bytes) -> None:
    with capture_logs():
        assert len(ask(port, said)) < 1000
    assert get(port, "/a").endswith(b"well\n")


@pytest.mark.usefixtures("door")
def test_an_error_of_ours_shows_nothing_of_itself(port: int) -> None:
    with capture_logs() as logs:
        said = get(port, "/fails")
    assert said.startswith(b"HTTP/1.0 500 ")
    assert b"secret" not in said
    assert b"Error" not in said.partition(b"\r\n\r\n")[2]
    assert [line["event"] for line in logs] == [Event.ERROR_UNCAUGHT]


@pytest.mark.usefixtures("door")
def test_those_who_say_nothing_take_a_few_threads_only_and_not_for_ever(port: int) -> None:
    before = threading.active_count()
    with ExitStack() as stack:
        silent = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 30)) for _ in range(3 * MOST_AT_ONCE)
        ]
        for connection in silent:
            assert connection.recv(1) == b"", "it is closed"
        assert threading.active_count() <= before + MOST_AT_ONCE
    assert get(port, "/a").endswith(b"well\n")


WITHOUT_THREADS = """
import encodings.idna, os, resource, sys  # what a connection needs, while it can still be read
from http import HTTPStatus
from tests.unit.service.test_http_door import MOST_AT_ONCE, get
from worker.service.http_door import Answer, HttpDoor
from worker.settings.metrics import Listen

port = int(sys.argv[1])
door = HttpDoor(Listen("127.0.0.1", port), {"/a": lambda: Answer(HTTPStatus.OK, "well")})
os.setuid(54321)  # the limit counts all threads of a user
door.keep_open()
_, most = resource.getrlimit(resource.RLIMIT_NPROC)
resource.setrlimit(resource.RLIMIT_NPROC, (2, most))
for _ in range(2 * MOST_AT_ONCE):
    assert get(port, "/a") == b""
resource.setrlimit(resource.RLIMIT_NPROC, (100, most))
sys.exit(not get(port, "/a").endswith(b"well"))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user that has no other thread")
def test_who_could_not_be_given_a_thread_takes_no_place_for_ever(port: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THREADS, str(port)], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("door")
def test_callers_that_leave_in_the_middle_are_no_trouble(port: int) -> None:
    with capture_logs() as logs:
        for _ in range(3 * MOST_AT_ONCE):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"GET /long HTTP/1.1\r\n\r\n")
        wait_until(lambda: get(port, "/a").endswith(b"well\n"), "a place is free")
    assert logs == []


def test_at_the_end_the_address_is_free_at_once(door: HttpDoor, port: int) -> None:
    get(port, "/a")
    with socket.create_connection(("127.0.0.1", port)) as still_asking:
        door.close()
        with closing(socket.create_server(("127.0.0.1", port))):
            still_asking.close()
    door.keep_open()
    with pytest.raises(ConnectionRefusedError):
        get(port, "/a")


def test_an_address_that_is_taken_is_told_once_and_had_later(port: int) -> None:
    door = HttpDoor(Listen("127.0.0.1", port), {"/a": lambda: Answer(HTTPStatus.OK, "well\n")})
    with capture_logs() as logs:
        with closing(socket.create_server(("127.0.0.1", port))):
            door.keep_open()
            door.keep_open()
        door.keep_open()
        assert get(port, "/a").endswith(b"well\n")
    assert [line["event"] for line in logs] == [Event.METRICS_UNAVAILABLE, Event.METRICS_SERVED]
    assert "ROTATOR_METRICS_LISTEN" in logs[0]["hint"]
    door.close()


def test_ipv6_is_an_address_like_any_other() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    door = HttpDoor(Listen("::1", 0), {})
    with capture_logs() as logs:
        door.keep_open()
    door.close()
    assert [line["event"] for line in logs] in ([Event.METRICS_SERVED], [Event.METRICS_UNAVAILABLE])
