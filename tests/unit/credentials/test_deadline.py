"""A helper's connection is there in time, or gives up: whatever the name server and the addresses of a name do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from worker.credentials.deadline import Lookup, TimedConnection

NAME = "vault.example"


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server at 127.0.0.1 that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def connection(port: int, lookup: Lookup, seconds: float = 30.0) -> TimedConnection:
    return TimedConnection(NAME, port=port, timeout=seconds, lookup=lookup)


def test_a_name_server_that_is_silent_is_given_up(port: int) -> None:
    answers = threading.Event()

    def silent(_host: str, _port: int) -> list[str]:
        answers.wait()
        return ["127.0.0.1"]

    with pytest.raises(TimeoutError, match="not looked up in time"):
        connection(port, silent, seconds=0.05).connect()
    answers.set()


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label too long")])
def test_what_a_lookup_says_is_told(port: int, error: Exception) -> None:
    def refused(_host: str, _port: int) -> list[str]:
        raise error

    with pytest.raises(type(error)) as raised:
        connection(port, refused).connect()
    assert raised.value is error


def test_an_address_that_refuses_is_followed_by_the_next(port: int) -> None:
    tried = connection(port, lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
    tried.connect()
    assert tried.sock.getpeername() == ("127.0.0.1", port)
    tried.close()


def test_an_address_that_is_silent_leaves_time_for_the_next(port: int) -> None:
    with socket.socket() as full:  # its queue takes one connection, which stays there: the next one is not answered
        full.bind(("127.0.0.3", port))
        full.listen(0)
        with socket.create_connection(("127.0.0.3", port)):
            tried = connection(port, lambda _host, _port: ["127.0.0.3", "127.0.0.1"], seconds=1.0)
            tried.connect()
    assert tried.sock.getpeername() == ("127.0.0.1", port)
    tried.close()


@pytest.mark.parametrize("addresses", [["127.0.0.2"], ["127.0.0.2", "127.0.0.2"], []])
def test_where_none_takes_it_that_is_an_error(port: int, addresses: list[str]) -> None:
    with pytest.raises(OSError, match=r"refused|no address"):
        connection(port, lambda _host, _port: addresses).connect()
