"""Servers that send what is made to take a client's memory or time: bombs, floods, what never ends, redirects."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import httpcore
import pytest

from tests.http_proxy import ForwardProxy
from tests.unit.adapters.hostup_answering import LONG, created, hostup
from tests.wire import LOOPBACK_PEM, Step, Wire, answer, cut, raw
from worker.adapters.hostup.client import HostUpClient
from worker.adapters.http.backend import DeadlineStream
from worker.adapters.http.client import HttpClient, new_client
from worker.adapters.http.deadline import within
from worker.adapters.http.decoding import MOST_LAYERS
from worker.adapters.http.engine import MAX_BODY
from worker.adapters.http.exchange import LONGEST_LATE_LOOK, MOST_LATE_LOOKS, exchange
from worker.adapters.http.messages import NoResponse, Request
from worker.adapters.s3.probe import StorageProbe
from worker.adapters.vault.kv import VaultAccess, VaultStore, connect
from worker.clock import SystemClock
from worker.errors import HostUpError, HostUpUncertain, VaultError
from worker.rotation.ports import Life
from worker.secret import Secret
from worker.settings.proxies import Proxies

SHORT = 0.5
AFTER_ALL = 4.0
"""Seconds: far beyond a deadline that is kept, and far below what each of these took when it was not."""

MEMORY = 50 * 1000 * 1000
PIECES = 2000

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "headers": (_OK, b"X: y\r\n"),
    "one header": (_OK + b"X: ", b"y"),
    "hints": (b"", b"HTTP/1.1 103 Early\r\n\r\n"),
    "a chunk's size": (_CHUNKED, b"0"),
    "a chunk's extension": (_CHUNKED + b"2;", b"a"),
    "small chunks": (_CHUNKED, b"1\r\nx\r\n"),
    "small chunks with extensions": (_CHUNKED, b"1;a\r\nx\r\n"),
    "trailers": (_CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n"),
    "one trailer": (_CHUNKED + b"2\r\n{}\r\n0\r\nX: ", b"y"),
    "a body": (_OK + b"\r\n", b"x"),
}


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Some hundred bytes that are 256 MiB when gzip is undone three times."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(bytes(MAX_BODY)) for _ in range(64)]
    return gzip.compress(gzip.compress(b"".join([*parts, packer.flush()])))


def again(first: bytes, piece: bytes, pause: float) -> Step:
    """The first bytes, then the piece over and over until the client has had enough."""

    def step(line: socket.socket, ended: threading.Event) -> bool:
        with suppress(OSError):
            line.sendall(first)
            while not ended.wait(pause):
                line.sendall(piece)
        return False

    return step


@pytest.mark.parametrize("pause", [0.0, 0.0005], ids=["flood", "drip"])
@pytest.mark.parametrize(("first", "piece"), ENDLESS.values(), ids=ENDLESS)
def test_a_call_ends_at_its_deadline_whatever_goes_on_coming(
    client: HttpClient, first: bytes, piece: bytes, pause: float
) -> None:
    since = time.monotonic()
    with Wire(again(first, piece if pause else piece * PIECES, pause)) as wire, within(SHORT):
        with pytest.raises(NoResponse) as caught:
            client.send(Request("POST", wire.url, {}, b"{}"), fresh=True, keep_raw=True)
        assert time.monotonic() - since < AFTER_ALL
    assert caught.value.sent


class Talker(httpcore.NetworkStream):
    """Somebody who never stops talking: there is always something to read, whenever one looks."""

    def __init__(self) -> None:
        self.looks: list[int] = []

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002 - always at once
        self.looks.append(max_bytes)
        return b"x"


def test_after_the_deadline_only_so_many_looks_are_taken() -> None:
    talker = Talker()
    with within(0.0), exchange(by_proxy=False, keep_raw=True), pytest.raises(httpcore.ReadTimeout):
        _read_on(DeadlineStream(talker))
    assert talker.looks == [LONGEST_LATE_LOOK] * MOST_LATE_LOOKS


def _read_on(stream: DeadlineStream) -> None:
    for _ in range(100 * MOST_LATE_LOOKS):
        stream.read(65_536)


def test_an_answer_that_waits_in_the_socket_is_taken_after_the_deadline() -> None:
    """As after a freeze: whole, in pieces as small as records of TLS are."""
    whole = raw(200, b"x" * 200_000)
    told = threading.Event()

    def step(line: socket.socket, _ended: threading.Event) -> bool:
        line.sendall(whole)
        told.set()
        return False

    class Slow(DeadlineStream):
        """The process stands still between the request and the first read."""

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            told.wait(LONG)
            with within(-1.0):
                return super().read(max_bytes, timeout)

    with Wire(step) as wire, exchange(by_proxy=False, keep_raw=True), within(LONG):
        line = httpcore.SyncBackend().connect_tcp("127.0.0.1", wire.port)
        line.write(b"GET / HTTP/1.1\r\n\r\n")
        stream, found = Slow(line), b""
        while len(found) < len(whole):
            found += stream.read(65_536)
        stream.close()
    assert found == whole


@pytest.mark.parametrize("pause", [0.0005, SHORT / 2])
def test_tls_inside_tls_is_within_the_deadline_too(monkeypatch: pytest.MonkeyPatch, pause: float) -> None:
    """A proxy that speaks TLS itself, and behind it a server that never gets to the end of its first record."""
    monkeypatch.setenv("SSL_CERT_FILE", str(LOOPBACK_PEM))
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()
        talking = threading.Thread(target=_talk, args=(server, ended, pause))
        talking.start()
        with ForwardProxy({"hostup.example": server.getsockname()[1]}, tls=True) as proxy:
            proxies = Proxies.of({"HTTPS_PROXY": f"https://127.0.0.1:{proxy.port}"})
            since = time.monotonic()
            with new_client(proxies=proxies) as client, within(SHORT), pytest.raises(NoResponse) as caught:
                client.send(Request("GET", "https://hostup.example/"))
            assert time.monotonic() - since < AFTER_ALL
        ended.set()
        talking.join()
    assert (caught.value.sent, caught.value.timed_out) == (False, True)


def _talk(server: socket.socket, ended: threading.Event, pause: float) -> None:
    line, _ = server.accept()
    with line, suppress(OSError):
        line.sendall(b"\x16\x03\x03\x40\x00")  # a record of 16 KiB begins
        while not ended.wait(pause):
            line.sendall(b"\x00")


def _packed(names: str, body: bytes) -> Step:
    return answer(200, body, {"Content-Encoding": names})


def _stored(times: int) -> bytes:
    """Almost :data:`MAX_BODY` bytes in each of so many layers of gzip."""
    data = bytes(MAX_BODY - 1_000_000)
    for _ in range(times):
        data = gzip.compress(data, 0)
    return data


BOMBS: dict[str, Callable[[bytes], Step]] = {
    "gzip": lambda bomb: _packed("gzip, gzip, gzip", bomb),
    "x-gzip": lambda bomb: _packed("x-gzip,\tGZIP , gzip", bomb),
    "in several headers": lambda bomb: cut(
        b"HTTP/1.1 200 OK\r\n" + b"Content-Encoding: gzip\r\n" * 3 + b"Content-Length: %d\r\n\r\n" % len(bomb) + bomb
    ),
    "unsaid": lambda bomb: answer(200, bomb),
    "fewer said than done": lambda bomb: _packed("gzip", bomb),
    "deflate": lambda _: _packed("deflate", zlib.compress(bytes(16 * MAX_BODY))),
    "bare deflate": lambda _: _packed("deflate", zlib.compress(bytes(16 * MAX_BODY))[2:-4]),
    "br": lambda bomb: _packed("br", bomb),
    "zstd": lambda bomb: _packed("zstd", bomb),
    "compress": lambda bomb: _packed("compress", bomb),
    "nothing known": lambda bomb: _packed("x" * 60_000, bomb),
    "thousands": lambda _: _packed(", ".join(["gzip"] * 8000), _stored(4)),
    "one too many": lambda _: _packed(", ".join(["gzip"] * (MOST_LAYERS + 1)), _stored(MOST_LAYERS + 1)),
}


@pytest.fixture(params=list(BOMBS.values()), ids=list(BOMBS))
def explosive(request: pytest.FixtureRequest, bomb: bytes) -> Iterator[Wire]:
    with Wire(request.param(bomb)) as made:
        yield made


def peak(act: Callable[[], object]) -> int:
    """The most bytes that were in use while something was done."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_bomb_takes_no_memory_from_a_create(client: HttpClient, explosive: Wire) -> None:
    def create() -> None:
        with pytest.raises(HostUpUncertain):
            hostup(client, explosive.url).create_key("a label")

    assert peak(create) < MEMORY


@pytest.mark.parametrize("names", ["gzip", "br", "zstd", "identity, br", "gzip, gzip, gzip, gzip"])
def test_a_key_behind_an_encoding_that_is_none_is_salvaged(client: HttpClient, names: str) -> None:
    with Wire(_packed(names, created())) as wire:
        made = hostup(client, wire.url).create_key("a label")
    assert made.access_key == "AKIAEXAMPLE"
    assert made.salvaged


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_key_that_is_packed_although_nobody_asked_is_taken(client: HttpClient, times: int) -> None:
    body = created()
    for _ in range(times):
        body = gzip.compress(body)
    with Wire(_packed(", ".join(["gzip"] * times), body)) as wire:
        assert hostup(client, wire.url).create_key("a label").access_key == "AKIAEXAMPLE"


def _vault(url: str, deadline: float = LONG) -> VaultStore:
    return connect(VaultAccess(url, token=Secret("s.token")), "secret", SystemClock(), deadline=deadline)


def test_a_bomb_takes_no_memory_from_the_other_calls(client: HttpClient, explosive: Wire) -> None:
    def ask() -> None:
        with pytest.raises(HostUpError):
            hostup(client, explosive.url).status()
        probe = StorageProbe(client, explosive.url, "eu-north-1", deadline=LONG)
        assert probe.lives("AKIAEXAMPLE").life is Life.UNKNOWN
        with pytest.raises(VaultError):
            _vault(explosive.url).read("app")

    ask()  # what is loaded at the first use is not what is measured
    assert peak(ask) < MEMORY


def test_vault_is_within_the_deadline_too() -> None:
    since = time.monotonic()
    with Wire(again(*ENDLESS["small chunks"], 0.0005)) as wire, pytest.raises(VaultError):
        _vault(wire.url, SHORT).read("app")
    assert time.monotonic() - since < AFTER_ALL


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_leads_nowhere(client: HttpClient, bomb: bytes, status: int) -> None:
    with Wire(_packed("gzip, gzip, gzip", bomb)) as elsewhere:
        with Wire(answer(status, bomb, {"Location": elsewhere.url, "Content-Encoding": "gzip"})) as wire:
            api: HostUpClient = hostup(client, wire.url)
            for call in (api.status, lambda: api.create_key("a label"), lambda: api.delete_key("AKIAEXAMPLE")):
                with pytest.raises(HostUpError):
                    call()
            assert StorageProbe(client, wire.url, "r", deadline=LONG).lives("AKIAEXAMPLE").life is Life.UNKNOWN
            with pytest.raises(VaultError):
                _vault(wire.url).write("app", {"secret": "hush"}, 0)
        assert elsewhere.heard == []
