"""Calls by way of a real proxy: what it sees, what it must not see, and what its refusals mean."""

from __future__ import annotations

import base64
import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore
import pytest

from tests.http_proxy import ForwardProxy
from tests.unit.adapters.hostup_answering import API_KEY, SECRET, created, hostup
from tests.wire import EXAMPLE_PEM, LOOPBACK_PEM, Wire, answer, cut, drip, raw, silence
from worker.adapters.http.client import HttpClient, new_client
from worker.adapters.http.deadline import within
from worker.adapters.http.messages import NoResponse, Request
from worker.adapters.http.trust import TlsFiles
from worker.adapters.s3.probe import StorageProbe
from worker.adapters.vault.kv import VaultAccess, connect
from worker.clock import SystemClock
from worker.errors import HostUpUncertain, HostUpUnreachable
from worker.rotation.ports import Life
from worker.secret import Secret
from worker.settings.proxies import Proxies

LONG = 30.0
SHORT = 0.5
PASSWORD = "pr0xy:pass wörd"
LOGIN = "http://worker:pr0xy%3Apass%20w%C3%B6rd@127.0.0.1"
URL = "https://hostup.example/api?a=b"


@contextmanager
def by_way_of(proxy: ForwardProxy, *, at: str = "http://127.0.0.1", no_proxy: str = "") -> Iterator[HttpClient]:
    proxies = Proxies.of({"ALL_PROXY": f"{at}:{proxy.port}", "NO_PROXY": no_proxy})
    with new_client(ca_file=str(EXAMPLE_PEM), proxies=proxies) as client:
        yield client


@pytest.fixture
def wire() -> Iterator[Wire]:
    with Wire(answer(200, b"{}"), tls=True, pem=EXAMPLE_PEM) as made:
        yield made


@pytest.mark.parametrize("fresh", [False, True])
def test_the_server_behind_it_answers_and_the_proxy_sees_nothing_of_it(wire: Wire, *, fresh: bool) -> None:
    with ForwardProxy({"hostup.example": wire.port}) as proxy, by_way_of(proxy) as client, within(LONG):
        request = Request("POST", URL, {"X-API-Key": "hush"}, b"hush")
        assert [client.send(request, fresh=fresh).body for _ in range(2)] == [b"{}", b"{}"]
    assert [asked.method for asked in proxy.asked] == ["CONNECT"] * (2 if fresh else 1)
    assert proxy.asked[0].target == "hostup.example:443"
    assert "hush" not in str(proxy.asked)
    assert wire.heard[0].target == "/api?a=b"
    assert wire.heard[0].headers["host"] == "hostup.example"
    assert "proxy-authorization" not in wire.heard[0].headers


def test_a_login_is_for_the_proxy_only(wire: Wire) -> None:
    with ForwardProxy({"hostup.example": wire.port}, f"worker:{PASSWORD}") as proxy, within(LONG):
        with by_way_of(proxy, at=LOGIN) as client:
            assert client.send(Request("GET", URL)).status == 200
        sent = proxy.asked[0].headers["proxy-authorization"].removeprefix("Basic ")
        assert base64.b64decode(sent).decode() == f"worker:{PASSWORD}"
        assert "proxy-authorization" not in wire.heard[0].headers
        with by_way_of(proxy) as client, pytest.raises(NoResponse) as caught:
            client.send(Request("GET", URL))
    assert not caught.value.sent
    assert f"the proxy 127.0.0.1:{proxy.port} refused the connection: it answered 407" in caught.value.reason


def test_a_proxy_may_speak_tls_itself(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(LOOPBACK_PEM))
    with ForwardProxy({"hostup.example": wire.port}, f"worker:{PASSWORD}", tls=True) as proxy, within(LONG):
        with by_way_of(proxy, at=LOGIN.replace("http:", "https:")) as client:
            response = client.send(Request("POST", URL, {}, b"x" * 200_000), keep_raw=True)
        assert response.raw is not None
        assert response.raw.reveal() == raw(200, b"{}")
        assert len(wire.heard[0].body) == 200_000
        monkeypatch.delenv("SSL_CERT_FILE")
        with by_way_of(proxy, at="https://127.0.0.1") as client, pytest.raises(NoResponse) as caught:
            client.send(Request("GET", URL))
    assert not caught.value.sent


def test_plain_http_is_asked_for_by_its_whole_address() -> None:
    with Wire(answer(200, b"{}")) as wire, ForwardProxy({"vault.example": wire.port}) as proxy:
        with by_way_of(proxy) as client, within(LONG):
            assert client.send(Request("GET", "http://vault.example:8200/v1/x")).status == 200
        assert (proxy.asked[0].method, proxy.asked[0].target) == ("GET", "http://vault.example:8200/v1/x")


def test_what_no_proxy_names_and_what_is_here_is_asked_directly() -> None:
    with Wire(answer(200)) as here, ForwardProxy({}) as proxy, within(LONG):
        with by_way_of(proxy, no_proxy="localtest.example") as client:
            assert client.send(Request("GET", here.url)).status == 200
            with pytest.raises(NoResponse):
                client.send(Request("GET", f"http://localtest.example:{here.port}"))
        assert proxy.asked == []


@pytest.mark.parametrize(
    "refusal",
    [
        raw(403),
        raw(502, b"secret words of a proxy"),
        b"HTTP/1.1 503 secret words\r\n\r\n",
        b"no http\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nno TLS at all, but something else",
    ],
    ids=["403", "502", "503", "not http", "no tls"],
)
def test_a_proxy_that_does_not_connect_means_that_nothing_was_sent(refusal: bytes) -> None:
    with ForwardProxy({}, refusal=refusal) as proxy, by_way_of(proxy) as client:
        with pytest.raises(HostUpUnreachable, match="nothing was sent") as caught:
            hostup(client, "https://hostup.example").create_key("a label")
        assert [asked.method for asked in proxy.asked] == ["CONNECT"]
        assert API_KEY not in str(proxy.asked)
    assert "secret words" not in str(caught.value)
    assert f"127.0.0.1:{proxy.port}" in str(caught.value)


def test_a_proxy_that_keeps_silent_means_that_nothing_was_sent() -> None:
    with ForwardProxy({}, silent=True) as proxy, by_way_of(proxy) as client, within(SHORT):
        with pytest.raises(NoResponse) as caught:
            client.send(Request("POST", URL, {}, b"{}"), fresh=True, keep_raw=True)
        assert (caught.value.sent, caught.value.timed_out) == (False, True)


def test_a_proxy_that_is_not_there_means_that_nothing_was_sent() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        proxies = Proxies.of({"ALL_PROXY": f"http://w:hush@127.0.0.1:{closed.getsockname()[1]}"})
        with new_client(proxies=proxies) as client, within(LONG), pytest.raises(NoResponse) as caught:
            client.send(Request("GET", URL))
    assert not caught.value.sent
    assert "by way of the proxy 127.0.0.1:" in caught.value.reason
    assert "hush" not in caught.value.reason


def _connections() -> list[httpcore.HTTP11Connection]:
    return [left for left in gc.get_objects() if isinstance(left, httpcore.HTTP11Connection)]


def test_a_server_with_a_wrong_certificate_behind_it_is_not_spoken_to() -> None:
    with Wire(answer(200), tls=True) as wire, ForwardProxy({"hostup.example": wire.port}) as proxy:
        with by_way_of(proxy) as client, within(LONG):
            of_others = _connections()  # tests before this one in the same process may have left some
            for _ in range(3):
                with pytest.raises(NoResponse, match="its certificate is") as caught:
                    client.send(Request("GET", URL))
                assert not caught.value.sent
            del caught
            gc.collect()
            assert [left for left in _connections() if not any(left is other for other in of_others)] == []
        assert wire.heard == []


@pytest.mark.parametrize("kind", ["silence", "cut", "drips"])
def test_what_was_sent_through_it_is_uncertain(kind: str) -> None:
    whole = raw(200, created())
    step = {"silence": silence(), "cut": cut(whole[:-5]), "drips": drip(whole, SHORT / 10)}[kind]
    with Wire(step, tls=True, pem=EXAMPLE_PEM) as wire, ForwardProxy({"hostup.example": wire.port}) as proxy:
        with by_way_of(proxy) as client, pytest.raises(HostUpUncertain):
            hostup(client, "https://hostup.example", SHORT if kind != "cut" else LONG).create_key("a label")
        assert [heard.method for heard in wire.heard] == ["POST"]


def test_only_what_came_from_the_server_is_kept() -> None:
    whole = raw(200, created())
    with (
        Wire(cut(whole[:-5]), tls=True, pem=EXAMPLE_PEM) as wire,
        ForwardProxy({"hostup.example": wire.port}) as proxy,
        by_way_of(proxy) as client,
        within(LONG),
        pytest.raises(NoResponse) as caught,
    ):
        client.send(Request("POST", URL, {}, b"{}"), fresh=True, keep_raw=True)
    assert caught.value.raw is not None
    assert caught.value.raw.reveal() == whole[:-5]
    assert SECRET.encode() in caught.value.raw.reveal()


def test_storage_and_vault_go_through_it_too() -> None:
    read = b'{"request_id": "r", "data": {"data": {}, "metadata": {"version": 7}}}'
    token = b'{"data": {"accessor": "a", "policies": [], "ttl": 0, "creation_ttl": 0}}'
    alive = b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
    with (
        Wire(answer(403, alive), tls=True, pem=EXAMPLE_PEM) as storage,
        Wire(answer(200, token), answer(200, read), tls=True, pem=EXAMPLE_PEM) as vault,
        ForwardProxy({"storage.example": storage.port, "vault.example": vault.port}) as proxy,
    ):
        with by_way_of(proxy) as client:
            probe = StorageProbe(client, "https://storage.example", "eu-north-1", deadline=LONG)
            assert probe.lives("AKIAEXAMPLE").life is Life.ALIVE
        proxies = Proxies.of({"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"})
        access = VaultAccess(
            "https://vault.example:8200", tls=TlsFiles(str(EXAMPLE_PEM)), token=Secret("s.token"), proxies=proxies
        )
        store = connect(access, "secret", SystemClock(), deadline=LONG)
        assert store.read("app").version == 7
        assert str(store.proxy) == f"127.0.0.1:{proxy.port}"
        store.close()
    assert [asked.target for asked in proxy.asked] == ["storage.example:443", "vault.example:8200"]
