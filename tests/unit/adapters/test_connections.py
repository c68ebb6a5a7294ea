"""What comes back over our connections, whole or not at all, over plain sockets and TLS."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.wire import LOOPBACK_PEM, Step, Wire, answer, cut, drip, raw, silence
from worker.adapters.http.connections import MAX_BODY, Answer, Connections, NoAnswer, Request, Server
from worker.adapters.http.reading import Reading
from worker.adapters.http.streams import within

LONG = 30.0
SHORT = 0.5
BODY = b"0123456789" * 20_000
"""More than one read brings."""


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def connections() -> Iterator[Connections]:
    made = Connections(ca_file=str(LOOPBACK_PEM))
    yield made
    made.close()


def server_of(wire: Wire) -> Server:
    url = urlsplit(wire.url)
    return Server.at(url.scheme, url.hostname or "", url.port)


def ask(
    connections: Connections, wire: Wire, body: bytes = b"", *, seconds: float = LONG, fresh: bool = False
) -> Answer:
    headers = [("Host", "here"), ("X-Secret", "hush-hush"), ("Content-Length", str(len(body)))]
    with within(seconds):
        return connections.ask(Request(server_of(wire), "POST", "/a?b=c", headers, body), fresh=fresh)


def chunked(*chunks: bytes) -> bytes:
    parts = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts


CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)
WHOLE = {
    "told length": (answer(200, BODY), BODY),
    "told length, then closed": (cut(CLOSING + BODY), BODY),
    "chunks": (cut(chunked(BODY, b"and more") + b"0\r\n\r\n"), BODY + b"and more"),
    "until closed": (cut(b"HTTP/1.1 200 OK\r\n\r\n" + BODY), BODY),
    "old": (cut(b"HTTP/1.0 200 OK\r\n\r\n" + BODY), BODY),
    "byte by byte": (drip(raw(200, b"{}"), 0.001), b"{}"),
    "line feeds only": (cut(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"), b"{}"),
    "no reason, odd header": (cut(b"HTTP/1.1 200\r\nX-Odd: \x01\xff\r\nContent-Length: 2\r\n\r\n{}"), b"{}"),
    "lengths that differ": (
        cut(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\n{}\r\n0\r\n\r\n"),
        b"{}",
    ),
    "a header behind the body": (
        cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n"),
        b"{}",
    ),
    "after hints": (cut(raw(100) + raw(103, headers={"Link": "</a>"}) + raw(200, b"{}")), b"{}"),
}


@pytest.mark.parametrize(("step", "body"), WHOLE.values(), ids=WHOLE)
def test_whole_answers(connections: Connections, tls: bool, step: Step, body: bytes) -> None:  # noqa: FBT001 - pytest's
    with Wire(step, tls=tls) as wire:
        found = ask(connections, wire)
        assert (found.status, found.body) == (200, body)


CUT = {
    "nothing": b"",
    "in the status": b"HTTP/1.1 200",
    "in the head": b"HTTP/1.1 204 No Content\r\nDate: Tue",
    "before the blank line": b"HTTP/1.1 204 No Content\r\nDate: Tue\r\n",
    "in the body": raw(200, BODY)[:-1],
    "between chunks": chunked(BODY, BODY),
    "in a chunk": chunked(BODY)[:-100],
    "in hints": raw(103)[:-1],
    "only hints": raw(103),
    "no HTTP": b"220 smtp ready\r\n\r\n",
    "another HTTP": b"HTTP/3.0 200 OK\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
}


@pytest.mark.parametrize("data", CUT.values(), ids=CUT)
def test_what_is_cut_is_no_answer(connections: Connections, tls: bool, data: bytes) -> None:  # noqa: FBT001 - pytest's
    with Wire(cut(data), tls=tls) as wire, pytest.raises(NoAnswer) as caught:
        ask(connections, wire)
    assert (caught.value.sent, caught.value.timed_out) == (True, False)


@pytest.mark.parametrize("step", [silence(), drip(raw(200, BODY), SHORT / 10)], ids=["silence", "dripping"])
def test_the_deadline_is_for_the_call_as_a_whole(connections: Connections, tls: bool, step: Step) -> None:  # noqa: FBT001
    with Wire(step, tls=tls) as wire, pytest.raises(NoAnswer) as caught:
        ask(connections, wire, seconds=SHORT)
    assert (caught.value.sent, caught.value.timed_out) == (True, True)


def test_an_endless_answer_is_given_up(connections: Connections) -> None:
    with Wire(answer(200, bytes(MAX_BODY + 1))) as wire, pytest.raises(NoAnswer, match="longer than"):
        ask(connections, wire)


def test_a_handshake_that_hangs_ends_at_the_deadline_and_nothing_was_sent(connections: Connections) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        server = Server(secure=True, host="127.0.0.1", port=mute.getsockname()[1])
        with within(SHORT), pytest.raises(NoAnswer) as caught:
            connections.ask(Request(server, "GET", "/", ()))
    assert (caught.value.sent, caught.value.timed_out) == (False, True)


def test_a_body_larger_than_any_buffer_is_sent_whole(connections: Connections, tls: bool) -> None:  # noqa: FBT001
    with Wire(answer(200), tls=tls) as wire:
        ask(connections, wire, BODY * 50)
        assert wire.heard[0].body == BODY * 50


def test_a_connection_is_kept_after_a_whole_answer_only(connections: Connections, tls: bool) -> None:  # noqa: FBT001
    closing = answer(200, b"{}", {"Connection": "close"})
    with Wire(answer(200, BODY), answer(204), closing, answer(200), tls=tls) as wire:
        for _ in range(4):
            ask(connections, wire)
        first, second, third, fourth = (heard.line for heard in wire.heard)
    assert first == second == third != fourth


def test_a_fresh_connection_is_neither_a_kept_one_nor_kept(connections: Connections) -> None:
    with Wire(answer(200)) as wire:
        for fresh in (False, True, False, True):
            ask(connections, wire, fresh=fresh)
        lines = [heard.line for heard in wire.heard]
    assert lines[0] == lines[2]
    assert len(set(lines)) == 3


def test_what_follows_an_answer_is_not_taken_for_the_next_one(connections: Connections) -> None:
    spoken_twice = cut(raw(200, b"mine") + raw(200, BODY + b"not asked for"))
    with Wire(spoken_twice, answer(200, b"asked for")) as wire:
        assert ask(connections, wire).body == b"mine"
        assert ask(connections, wire).body == b"asked for"


def test_many_threads_each_hear_their_own_answer(connections: Connections) -> None:
    def converse(line: socket.socket, _ended: threading.Event) -> bool:
        line.sendall(raw(200, str(line.getpeername()[1]).encode()))
        return True

    with Wire(converse) as wire:
        heard: list[int] = []
        threads = [
            threading.Thread(target=lambda: heard.extend(ask(connections, wire).status for _ in range(50)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert heard == [200] * 400
        assert len({each.line for each in wire.heard}) <= 8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Key", "hush\r\nhush"),
        ("X-Key", "hush\r\nX-Other: hush"),
        ("X\nhush", "value"),
        ("X hush", "value"),
        ("X-Key", b"hush\n"),
        ("X-Key", b"hush\x00"),
        ("X-Key", "hush\u2713"),
    ],
    ids=repr,
)
def test_what_http_does_not_allow_is_not_sent_and_not_quoted(
    connections: Connections, name: str, value: str | bytes
) -> None:
    with Wire(answer(200)) as wire, within(LONG):
        with pytest.raises(NoAnswer) as caught:
            connections.ask(Request(server_of(wire), "GET", "/", [("Host", "here"), (name, value)]))
        assert wire.heard == []
    assert not caught.value.sent
    assert "hush" not in str(caught.value)
    assert caught.value.__context__ is None  # an error of encoding holds the text


@pytest.mark.parametrize("step", [answer(200, b"hush-hush"), cut(raw(200, b"hush-hush")[:-1])], ids=["whole", "cut"])
def test_nothing_of_an_answer_waits_for_a_search_for_garbage(connections: Connections, step: Step) -> None:
    gc.collect()
    gc.disable()
    try:
        with Wire(step) as wire, suppress(NoAnswer):
            ask(connections, wire)
        assert [left for left in gc.get_objects() if isinstance(left, Reading)] == []
    finally:
        gc.enable()


def test_nothing_of_a_call_is_in_its_repr() -> None:
    request = Request(Server(secure=True, host="h", port=1), "GET", "/", [("X-Vault-Token", "hush-hush")], b"hush-hush")
    assert "hush" not in repr(request) + repr(Answer(200, [(b"Set-Cookie", b"hush-hush")], b"hush-hush"))
