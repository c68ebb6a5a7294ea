"""Connections that are not made: whatever the reason, nothing was sent, and the deadline holds."""

from __future__ import annotations

import errno
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.unit.adapters.hostup_answering import created, hostup
from tests.wire import LOOPBACK_PEM, Wire, answer
from worker.adapters.http.backend import DeadlineBackend
from worker.adapters.http.causes import cause_in_words
from worker.adapters.http.client import HttpClient, new_client
from worker.adapters.http.deadline import within
from worker.adapters.http.messages import NoResponse, Request
from worker.adapters.vault.kv import VaultAccess, connect
from worker.clock import SystemClock
from worker.errors import HostUpUnreachable, VaultUnavailable
from worker.secret import Secret

EXAMPLE_PEM = LOOPBACK_PEM.with_name("example.pem")
LONG = 30.0
SHORT = 0.6


@pytest.fixture
def client() -> Iterator[HttpClient]:
    with new_client(ca_file=str(LOOPBACK_PEM)) as made:
        yield made


def not_sent(client: HttpClient, url: str, seconds: float = LONG) -> NoResponse:
    with within(seconds), pytest.raises(NoResponse) as caught:
        client.send(Request("POST", url, {}, b"{}"), keep_raw=True)
    assert not caught.value.sent
    assert caught.value.raw is not None
    assert caught.value.raw.reveal() == b""
    return caught.value


@contextmanager
def silent(host: str, port: int = 0) -> Iterator[int]:
    """A port whose queue is full: the system lets further connections wait without a word."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind((host, port))
        server.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(server.getsockname())
        yield int(server.getsockname()[1])


def test_a_refused_connection(client: HttpClient) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = not_sent(client, f"http://127.0.0.1:{closed.getsockname()[1]}/")
    assert not error.timed_out
    assert "the connection was refused: nothing listens at that port" in error.reason


def test_a_certificate_that_nobody_vouches_for() -> None:
    with new_client() as client, Wire(answer(200), tls=True) as wire:
        error = not_sent(client, wire.url)
        assert wire.heard == []
    assert "signed by itself, and not trusted here" in error.reason


def test_a_certificate_for_another_name(client: HttpClient) -> None:
    with Wire(answer(200), tls=True) as wire:
        assert "its certificate is for another host name" in not_sent(client, f"https://localhost:{wire.port}/").reason
        assert wire.heard == []


def test_a_certificate_for_another_address() -> None:
    with Wire(tls=True, pem=EXAMPLE_PEM) as wire, new_client(ca_file=str(EXAMPLE_PEM)) as client:
        assert "its certificate is for another address" in not_sent(client, wire.url).reason


@pytest.mark.parametrize(
    ("shown", "trusted", "reason"),
    [
        ("expired.pem", "expired.pem", "its certificate has expired"),
        ("no_intermediate.pem", "root.pem", "the server does not send an intermediate one"),
        ("no_intermediate.pem", "loopback.pem", "an authority that is not known here has signed its certificate"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said(shown: str, trusted: str, reason: str) -> None:
    pems = LOOPBACK_PEM.parent
    with Wire(tls=True, pem=pems / shown) as wire, new_client(ca_file=str(pems / trusted)) as client:
        assert reason in not_sent(client, wire.url).reason
        assert wire.heard == []


def test_plain_http_where_tls_was_expected(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:
        threading.Thread(target=_answer_in_plain_text, args=(plain,), daemon=True).start()
        error = not_sent(client, f"https://127.0.0.1:{plain.getsockname()[1]}/")
    assert "is it plain http?" in error.reason


def _answer_in_plain_text(server: socket.socket) -> None:
    line, _ = server.accept()
    with line:
        line.recv(4096)
        line.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "x"), "cannot be looked up now"),
        (OSError(errno.ENETUNREACH, "x"), "no route"),
        (OSError(errno.EHOSTUNREACH, "x"), "no route"),
        (ConnectionResetError(errno.ECONNRESET, "x"), "closed the connection at once"),
        (ValueError("label too long"), "no host can have such a name"),
        (OSError(12345, "secret text"), "OSError"),
        (ssl.SSLError(1, "secret text"), "SSLError"),
    ],
)
def test_other_causes_have_their_words_and_quote_nothing(error: Exception, words: str) -> None:
    assert words in cause_in_words(error)
    assert "secret" not in cause_in_words(error)


def test_authorities_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    with new_client() as client, Wire(answer(200), tls=True) as wire:
        assert "FileNotFoundError" in not_sent(client, wire.url).reason
        assert wire.heard == []


def test_the_authorities_are_those_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(LOOPBACK_PEM))
    with new_client() as client, Wire(answer(200), tls=True) as wire, within(LONG):
        assert client.send(Request("GET", wire.url)).status == 200


def test_a_name_that_is_none(client: HttpClient) -> None:
    assert not not_sent(client, "http://a..example/").timed_out


def test_a_name_that_nobody_knows() -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, f"no {host}:{port}")

    with new_client(backend=DeadlineBackend(unknown)) as client:
        assert "there is no host of that name" in not_sent(client, "http://hostup.example/").reason


def test_a_handshake_that_hangs(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert not_sent(client, f"https://127.0.0.1:{mute.getsockname()[1]}/", SHORT).timed_out


def test_a_handshake_that_drips(client: HttpClient) -> None:
    def drip(server: socket.socket, over: threading.Event) -> None:
        line, _ = server.accept()
        with line:
            line.sendall(b"\x16\x03\x03\x3f\xff")  # a record of 16 KiB
            while not over.wait(SHORT / 20):
                line.sendall(b"\x02")

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server, over))
        thread.start()
        try:
            begun = time.monotonic()
            assert not_sent(client, f"https://127.0.0.1:{server.getsockname()[1]}/", SHORT).timed_out
            assert time.monotonic() - begun < 3 * SHORT
        finally:
            over.set()
            thread.join()


def test_a_connection_that_is_not_made_in_time(client: HttpClient) -> None:
    with silent("127.0.0.1") as port:
        begun = time.monotonic()
        assert not_sent(client, f"http://127.0.0.1:{port}/", SHORT).timed_out
        assert SHORT <= time.monotonic() - begun < 2 * SHORT


def test_a_deadline_that_is_over_already(client: HttpClient) -> None:
    with Wire(answer(200)) as wire:
        assert not_sent(client, wire.url, -1.0).timed_out
        with within(LONG):
            client.send(Request("GET", wire.url))
        assert not_sent(client, wire.url, -1.0).timed_out  # with a connection that is kept
        assert [heard.method for heard in wire.heard] == ["GET"]


def slow(host: str, port: int) -> Sequence[str]:
    """The resolver of a network that loses packets: its answer is right, and late."""
    del host, port
    time.sleep(1.5 * SHORT)
    return ["127.0.0.1"]


def test_a_name_that_is_resolved_too_late() -> None:
    with Wire(answer(200)) as wire, new_client(backend=DeadlineBackend(slow)) as client:
        assert not_sent(client, f"http://hostup.example:{wire.port}/", SHORT).timed_out
        assert wire.heard == []


def test_it_is_no_uncertain_create_and_no_uncertain_write() -> None:
    with Wire(answer(200, created())) as wire, new_client(backend=DeadlineBackend(slow)) as client:
        with pytest.raises(HostUpUnreachable, match="nothing was sent"):
            hostup(client, f"https://hostup.example:{wire.port}", SHORT).create_key("a label")
        assert wire.heard == []
    with silent("127.0.0.1") as port:
        access = VaultAccess(f"http://127.0.0.1:{port}", token=Secret("s.token"))
        store = connect(access, "secret", SystemClock(), deadline=SHORT)
        with pytest.raises(VaultUnavailable, match="nothing was sent"):
            store.write("app", {}, 0)


def test_silent_addresses_share_the_time() -> None:
    names = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    with ExitStack() as stack:
        port = stack.enter_context(silent(names[0]))
        for name in names[1:]:
            stack.enter_context(silent(name, port))
        client = stack.enter_context(new_client(backend=DeadlineBackend(lambda *_: names)))
        begun = time.monotonic()
        assert not_sent(client, f"http://hostup.example:{port}/", SHORT).timed_out
        assert SHORT <= time.monotonic() - begun < 2 * SHORT


@pytest.mark.parametrize("first", ["silent", "refusing"])
def test_behind_an_address_that_fails_the_next_one_is_tried(first: str) -> None:
    with ExitStack() as stack:
        wire = stack.enter_context(Wire(answer(200)))
        if first == "silent":
            stack.enter_context(silent("127.0.0.2", wire.port))
        backend = DeadlineBackend(lambda *_: ["127.0.0.2", "127.0.0.1"])
        client = stack.enter_context(new_client(backend=backend))
        with within(2 * SHORT):
            assert client.send(Request("GET", f"http://hostup.example:{wire.port}/")).status == 200
        assert wire.heard[0].headers["host"] == f"hostup.example:{wire.port}"


def test_a_create_behind_a_silent_address_is_made_once_and_the_next_one_does_not_wait() -> None:
    share = 4.0
    with ExitStack() as stack:
        wire = stack.enter_context(Wire(answer(200, created())))
        stack.enter_context(silent("127.0.0.2", wire.port))
        backend = DeadlineBackend(lambda *_: ["127.0.0.2", "127.0.0.1"])
        api = hostup(stack.enter_context(new_client(backend=backend)), f"http://localhost:{wire.port}", 2 * share)
        assert api.create_key("a label").access_key == "AKIAEXAMPLE"
        begun = time.monotonic()
        assert api.create_key("a label").access_key == "AKIAEXAMPLE"
        assert time.monotonic() - begun < share
        assert [heard.method for heard in wire.heard] == ["POST", "POST"]


@contextmanager
def mute(host: str, port: int, how: str) -> Iterator[list[socket.socket]]:
    """Takes every connection, and then says nothing, or ends it at once."""
    taken: list[socket.socket] = []

    def take(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                line, _ = server.accept()
                taken.append(line)
                if how == "resetting":
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    line.close()

    with socket.create_server((host, port)) as server:
        thread = threading.Thread(target=take, args=(server,), daemon=True)
        thread.start()
        yield taken
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    for line in taken:
        line.close()


@pytest.mark.parametrize("how", ["mute", "resetting"])
def test_behind_an_address_that_speaks_no_tls_the_next_one_is_tried_and_remembered(how: str) -> None:
    share = 3.0
    with ExitStack() as stack:
        wire = stack.enter_context(Wire(answer(200), answer(200), tls=True))
        taken = stack.enter_context(mute("127.0.0.2", wire.port, how))
        backend = DeadlineBackend(lambda *_: ["127.0.0.2", "127.0.0.1"])
        client = stack.enter_context(new_client(ca_file=str(LOOPBACK_PEM), backend=backend))
        with within(2 * share):
            assert client.send(Request("POST", f"{wire.url}/", {}, b"{}")).status == 200
        assert len(taken) == 1
        other = stack.enter_context(new_client(ca_file=str(LOOPBACK_PEM), backend=backend))
        with within(2 * share):
            assert other.send(Request("GET", f"{wire.url}/")).status == 200
        assert len(taken) == 1, "the next connection does not wait for it"


def test_a_bad_certificate_is_told_and_no_other_address_asked() -> None:
    with ExitStack() as stack:
        wire = stack.enter_context(Wire(answer(200), tls=True))
        taken = stack.enter_context(mute("127.0.0.2", wire.port, "mute"))
        backend = DeadlineBackend(lambda *_: ["127.0.0.1", "127.0.0.2"])
        client = stack.enter_context(new_client(backend=backend))
        assert "signed by itself, and not trusted here" in not_sent(client, wire.url).reason
        assert taken == []


def test_addresses_that_speak_no_tls_share_the_time() -> None:
    with ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        for host in ("127.0.0.1", "127.0.0.2"):
            stack.enter_context(mute(host, port, "mute"))
        backend = DeadlineBackend(lambda *_: ["127.0.0.2", "127.0.0.1"])
        client = stack.enter_context(new_client(backend=backend))
        begun = time.monotonic()
        assert not_sent(client, f"https://127.0.0.1:{port}/", SHORT).timed_out
        assert SHORT <= time.monotonic() - begun < 2 * SHORT


def test_a_create_to_silent_addresses_is_told_as_not_sent() -> None:
    with ExitStack() as stack:
        port = stack.enter_context(silent("127.0.0.1"))
        stack.enter_context(silent("127.0.0.2", port))
        backend = DeadlineBackend(lambda *_: ["127.0.0.2", "127.0.0.1"])
        client = stack.enter_context(new_client(backend=backend))
        with pytest.raises(HostUpUnreachable, match="nothing was sent"):
            hostup(client, f"http://localhost:{port}", SHORT).create_key("a label")


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Hostup.Example:80/", "hostup.example"),
        ("https://hostup.example:443/", "hostup.example"),
        ("https://hostup.example:80/", "hostup.example:80"),
        ("http://[::1]:8200/", "[::1]:8200"),
        ("http://[::1]/", "[::1]"),
    ],
)
def test_what_the_server_is_called(url: str, host: str) -> None:
    assert Request("GET", url).host == host
