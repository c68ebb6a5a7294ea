"""What comes back over our connections, whole or not at all, over plain sockets and TLS."""

from __future__ import annotations

import gc
import gzip
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress

import httpcore
import pytest

from tests.wire import LOOPBACK_PEM, Step, Wire, answer, cut, drip, raw, silence
from worker.adapters.http.client import HttpClient, new_client
from worker.adapters.http.deadline import within
from worker.adapters.http.engine import IDLE_SECONDS, MAX_BODY
from worker.adapters.http.exchange import MAX_RECEIVED, Exchange, Received
from worker.adapters.http.messages import NoResponse, Request, Response

LONG = 30.0
SHORT = 0.5
BODY = b"0123456789" * 20_000
"""More than one read brings."""


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def client() -> Iterator[HttpClient]:
    with new_client(ca_file=str(LOOPBACK_PEM)) as made:
        yield made


def ask(
    client: HttpClient,
    wire: Wire,
    body: bytes = b"",
    *,
    seconds: float = LONG,
    fresh: bool = False,
    keep_raw: bool = False,
) -> Response:
    request = Request("POST", f"{wire.url}/a?b=c", {"X-Secret": "hush-hush"}, body)
    with within(seconds):
        return client.send(request, fresh=fresh, keep_raw=keep_raw)


def chunked(*chunks: bytes) -> bytes:
    parts = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + parts


CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY)
WHOLE = {
    "its length": (answer(200, BODY), BODY),
    "its length, then closed": (cut(CLOSING + BODY), BODY),
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
    "gzip that nobody asked for": (answer(200, gzip.compress(BODY), {"Content-Encoding": "gzip"}), BODY),
    "deflate": (answer(200, zlib.compress(BODY), {"Content-Encoding": "Deflate"}), BODY),
    "deflate without its wrapping": (answer(200, zlib.compress(BODY)[2:-4], {"Content-Encoding": "deflate"}), BODY),
    "twice": (answer(200, gzip.compress(zlib.compress(BODY)), {"Content-Encoding": "deflate, x-gzip"}), BODY),
    "as it was asked for": (answer(200, BODY, {"Content-Encoding": "identity"}), BODY),
}


@pytest.mark.parametrize(("step", "body"), WHOLE.values(), ids=WHOLE)
def test_whole_answers(client: HttpClient, tls: bool, step: Step, body: bytes) -> None:  # noqa: FBT001 - pytest's
    with Wire(step, tls=tls) as wire:
        found = ask(client, wire)
        assert (found.status, found.body) == (200, body)


def test_headers_have_names_in_lower_case_and_are_joined(client: HttpClient) -> None:
    with Wire(cut(b"HTTP/1.1 204 No\r\nX-Some: a\r\nx-some: b \r\nOther: \xe5\r\n\r\n")) as wire:
        found = ask(client, wire)
    assert (found.status, found.headers, found.body) == (204, {"x-some": "a, b", "other": "å"}, b"")


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
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 150_000,
    "a blank before a colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "HTTP/2 in the status": b"HTTP/2 200\r\nContent-Length: 2\r\n\r\n{}",
    "gzip over a plain body": raw(200, b"{}", {"Content-Encoding": "gzip"}),
    "gzip cut": raw(200, gzip.compress(BODY)[:-9], {"Content-Encoding": "gzip"}),
    "an unknown encoding": raw(200, b"{}", {"Content-Encoding": "br"}),
}


@pytest.mark.parametrize("data", CUT.values(), ids=CUT)
def test_what_is_cut_or_no_http_is_no_response_and_is_handed_over_as_it_came(
    client: HttpClient,
    tls: bool,  # noqa: FBT001 - pytest's
    data: bytes,
) -> None:
    with Wire(cut(data), tls=tls) as wire, pytest.raises(NoResponse) as caught:
        ask(client, wire, keep_raw=True)
    assert (caught.value.sent, caught.value.timed_out) == (True, False)
    assert caught.value.raw is not None
    received = caught.value.raw.reveal()
    assert received == data or (len(received) > 100_000 and data.startswith(received))


@pytest.mark.parametrize("step", [silence(), drip(raw(200, BODY), SHORT / 10)], ids=["silence", "dripping"])
def test_the_deadline_is_for_the_call_as_a_whole(client: HttpClient, tls: bool, step: Step) -> None:  # noqa: FBT001
    with Wire(step, tls=tls) as wire, pytest.raises(NoResponse) as caught:
        ask(client, wire, seconds=SHORT)
    assert (caught.value.sent, caught.value.timed_out) == (True, True)


def endless(first: bytes, again: bytes) -> Step:
    """The first bytes, then the others again and again, until the client has had enough."""

    def step(line: socket.socket, _ended: threading.Event) -> bool:
        line.sendall(first)
        with suppress(OSError):
            while True:
                line.sendall(again)
        return False

    return step


TOO_LONG: dict[str, Step] = {
    "by its length": answer(200, bytes(MAX_BODY + 1)),
    "in chunks": cut(chunked(*[bytes(MAX_BODY // 4)] * 5) + b"0\r\n\r\n"),
    "until closed": endless(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65_536)),
    "unpacked": answer(200, gzip.compress(bytes(MAX_BODY + 1)), {"Content-Encoding": "gzip"}),
    "packed three times": answer(
        200,
        gzip.compress(gzip.compress(gzip.compress(bytes(64 * MAX_BODY)))),
        {"Content-Encoding": "gzip, gzip, gzip"},
    ),
}


@pytest.mark.parametrize("step", TOO_LONG.values(), ids=TOO_LONG)
def test_more_than_the_longest_body_is_given_up(client: HttpClient, step: Step) -> None:
    with Wire(step) as wire, pytest.raises(NoResponse, match=f"longer than {MAX_BODY} bytes") as caught:
        ask(client, wire)
    assert caught.value.sent


@pytest.mark.parametrize("hint", [raw(103), raw(103, headers={"X": "x" * 10_000})], ids=["short", "long"])
def test_endless_hints_are_given_up(client: HttpClient, hint: bytes) -> None:
    # each is read within the deadline, and none belongs to a body
    with Wire(endless(hint, hint * 100)) as wire, pytest.raises(NoResponse) as caught:
        ask(client, wire, keep_raw=True)
    assert (caught.value.sent, caught.value.timed_out) == (True, False)
    assert caught.value.raw is not None
    assert MAX_RECEIVED < len(caught.value.raw.reveal()) <= MAX_RECEIVED + 65_536


def test_a_body_larger_than_any_buffer_is_sent_whole(client: HttpClient, tls: bool) -> None:  # noqa: FBT001
    with Wire(answer(200), tls=tls) as wire:
        ask(client, wire, BODY * 50)
        assert wire.heard[0].body == BODY * 50


def test_a_server_that_does_not_read_is_given_up_at_the_deadline(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        request = Request("POST", f"http://127.0.0.1:{mute.getsockname()[1]}/", {}, BODY * 100)
        with within(SHORT), pytest.raises(NoResponse) as caught:
            client.send(request)
    assert (caught.value.sent, caught.value.timed_out) == (True, True)


def test_an_answer_before_all_is_read_counts(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            line, _ = server.accept()
            with line:
                line.recv(1000)
                line.sendall(raw(413, b"{}", {"Connection": "close"}))
                while line.recv(65_536):
                    pass

        thread = threading.Thread(target=refuse)
        thread.start()
        request = Request("POST", f"http://127.0.0.1:{server.getsockname()[1]}/", {}, BODY * 10)
        with within(LONG):
            assert client.send(request).status == 413
        thread.join()


def test_a_connection_is_kept_after_a_whole_answer_only(client: HttpClient, tls: bool) -> None:  # noqa: FBT001
    closing = answer(200, b"{}", {"Connection": "close"})
    with Wire(answer(200, BODY), answer(204), closing, answer(200), tls=tls) as wire:
        for _ in range(4):
            ask(client, wire)
        first, second, third, fourth = (heard.line for heard in wire.heard)
    assert first == second == third != fourth


def test_a_fresh_connection_is_neither_a_kept_one_nor_kept(client: HttpClient) -> None:
    with Wire(answer(200)) as wire:
        for fresh in (False, True, False, True):
            ask(client, wire, fresh=fresh)
        lines = [heard.line for heard in wire.heard]
    assert lines[0] == lines[2]
    assert len(set(lines)) == 3


def test_a_connection_that_was_idle_for_long_is_not_used_again(client: HttpClient) -> None:
    with Wire(answer(200)) as wire:
        ask(client, wire)
        over = time.monotonic() + IDLE_SECONDS
        while time.monotonic() <= over:
            time.sleep(over - time.monotonic() + 0.01)
        ask(client, wire)
        assert len({heard.line for heard in wire.heard}) == 2


@pytest.mark.parametrize(
    "surplus", [raw(200, BODY + b"not asked for"), raw(200, b"no"), raw(200, b"no")[:20], b"\n"], ids=len
)
@pytest.mark.parametrize("mine", [raw(200, b"mine"), chunked(b"mine") + b"0\r\n\r\n"], ids=["length", "chunks"])
def test_what_follows_an_answer_is_not_taken_for_the_next_one(
    client: HttpClient,
    tls: bool,  # noqa: FBT001 - pytest's
    mine: bytes,
    surplus: bytes,
) -> None:
    def spoken_twice(line: socket.socket, _ended: threading.Event) -> bool:
        line.sendall(mine + surplus)
        return True  # the connection stays open

    with Wire(spoken_twice, answer(200, b"asked for"), tls=tls) as wire:
        assert ask(client, wire).body == b"mine"
        assert ask(client, wire).body == b"asked for"


def test_many_threads_each_get_their_own_answer(client: HttpClient) -> None:
    def converse(line: socket.socket, _ended: threading.Event) -> bool:
        line.sendall(raw(200, str(line.getpeername()[1]).encode()))
        return True

    with Wire(converse) as wire:
        found: list[int] = []
        threads = [
            threading.Thread(target=lambda: found.extend(ask(client, wire).status for _ in range(50))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [200] * 400
        assert len({each.line for each in wire.heard}) <= 8


def test_no_thread_waits_for_the_connection_of_another(client: HttpClient) -> None:
    all_there = threading.Barrier(40)

    def meet(line: socket.socket, _ended: threading.Event) -> bool:
        all_there.wait(LONG)
        line.sendall(raw(200))
        return True

    with Wire(meet) as wire:
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(ask(client, wire).status)) for _ in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [200] * 40


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Key", "hush\r\nhush"),
        ("X-Key", "hush\r\nX-Other: hush"),
        ("X\nhush", "value"),
        ("X hush", "value"),
        ("X-Key", "hush\n"),
        ("X-Key", "hush\x00"),
        ("X-Key", "hush\x01"),
        ("X-Key", "hush\u2713"),
    ],
    ids=repr,
)
def test_what_http_does_not_allow_is_not_sent_and_not_quoted(client: HttpClient, name: str, value: str) -> None:
    with Wire(answer(200)) as wire, within(LONG):
        with pytest.raises(NoResponse) as caught:
            client.send(Request("GET", wire.url, {name: value}))
        assert wire.heard == []
    assert not caught.value.sent
    assert "hush" not in str(caught.value)
    assert caught.value.__context__ is None  # a lower error holds the text


@pytest.mark.parametrize("path", ["/a b", "/a\r\nb", "/\u2713"])
def test_an_address_with_such_characters_is_not_sent_either(client: HttpClient, path: str) -> None:
    with Wire(answer(200)) as wire, within(LONG):
        with pytest.raises(NoResponse) as caught:
            client.send(Request("GET", wire.url + path))
        assert wire.heard == []
    assert not caught.value.sent


@pytest.mark.parametrize("step", [answer(200, b"hush-hush"), cut(raw(200, b"hush-hush")[:-1])], ids=["whole", "cut"])
def test_nothing_of_an_answer_waits_for_a_search_for_garbage(client: HttpClient, step: Step) -> None:
    gc.collect()
    gc.disable()
    try:
        with Wire(step) as wire, suppress(NoResponse):
            ask(client, wire, keep_raw=True, fresh=True)
        kinds = (Request, Response, NoResponse, Exchange, Received, httpcore.Response)
        assert [left for left in gc.get_objects() if isinstance(left, kinds)] == []
    finally:
        gc.enable()


@pytest.mark.parametrize("step", [answer(200, b"hush-hush"), cut(raw(200, b"hush-hush"))], ids=["kept", "closed"])
def test_what_came_is_kept_when_asked_and_never_shown(client: HttpClient, step: Step, tls: bool) -> None:  # noqa: FBT001
    with Wire(step, tls=tls) as wire:
        assert ask(client, wire, fresh=True).raw is None
        found = ask(client, wire, fresh=True, keep_raw=True)
    assert found.raw is not None
    assert found.raw.reveal() == raw(200, b"hush-hush")
    assert "hush" not in f"{found!r} {found} {found.raw!r} {found.raw}"
    found.raw.wipe()
    assert found.raw.reveal() == b""


def test_what_came_before_the_deadline_is_kept(client: HttpClient) -> None:
    def stay(line: socket.socket, ended: threading.Event) -> bool:
        line.sendall(raw(200, b'{"secretKey": "hush"}')[:-1])
        return ended.wait(LONG) and False

    with Wire(stay) as wire, pytest.raises(NoResponse) as caught:
        ask(client, wire, seconds=SHORT, keep_raw=True)
    assert (caught.value.sent, caught.value.timed_out) == (True, True)
    assert caught.value.raw is not None
    assert caught.value.raw.reveal() == raw(200, b'{"secretKey": "hush"}')[:-1]
    assert "hush" not in f"{caught.value!r} {caught.value} {vars(caught.value)!r}"


def test_nothing_of_a_call_is_in_its_repr() -> None:
    request = Request("GET", "https://h/", {"X-Vault-Token": "hush-hush"}, b"hush-hush")
    response = Response(200, {"set-cookie": "hush-hush"}, b"hush-hush", Received(bytearray(b"hush-hush")))
    assert "hush" not in repr(request) + repr(response) + repr(Exchange(bytearray(b"hush-hush")))
