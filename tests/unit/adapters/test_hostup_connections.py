"""What the HostUp client makes of connections that break, lie or lead elsewhere."""

from __future__ import annotations

import socket

import pytest

from tests.unit.adapters.hostup_answering import SHORT, body, created, failure_of_create, hostup
from tests.wire import LOOPBACK_PEM, Step, Wire, answer, cut, drip, raw, reset, silence
from worker.adapters.http.client import HttpClient, new_client
from worker.errors import HostUpRefused, HostUpUncertain, HostUpUnreachable


class TestBrokenConnections:
    WHOLE = raw(200, created())

    @pytest.mark.parametrize(
        "step",
        [cut(b""), cut(b"HTTP/1.1 200 OK\r\nCont"), cut(WHOLE[:-10]), cut(b"no http at all\r\n\r\n"), reset()],
        ids=["closed", "head cut", "body cut", "not http", "reset"],
    )
    def test_cut_after_sending_is_uncertain(self, client: HttpClient, step: Step) -> None:
        error = failure_of_create(client, step)
        assert isinstance(error, HostUpUncertain)
        assert error.answer.status is None
        assert "panel" in error.hint

    @pytest.mark.parametrize("step", [silence(), drip(WHOLE, SHORT / 30)], ids=["silence", "dripping"])
    def test_the_deadline_is_for_the_call_as_a_whole(self, client: HttpClient, step: Step) -> None:
        # the dripping answer would be complete, and read, in several times the deadline; no single read is slow
        error = failure_of_create(client, step, SHORT)
        assert isinstance(error, HostUpUncertain)
        assert "within 1 s" in error.what

    def test_an_endless_answer_is_not_read_to_its_end(self, client: HttpClient) -> None:
        error = failure_of_create(client, answer(200, b" " * 5_000_000))
        assert isinstance(error, HostUpUncertain)
        assert error.answer.status is None

    def test_a_lying_content_encoding_loses_no_key(self, client: HttpClient) -> None:
        with Wire(answer(200, created(), {"Content-Encoding": "gzip"})) as wire:
            key = hostup(client, wire.url).create_key("a label")
        assert key.access_key == "AKIAEXAMPLE"
        assert key.salvaged == ("a Content-Encoding that cannot be undone",)

    def test_a_lying_content_encoding_of_a_status_is_uncertain(self, client: HttpClient) -> None:
        step = answer(200, body({"provisioned": True}), {"Content-Encoding": "gzip"})
        with Wire(step) as wire, pytest.raises(HostUpUncertain, match="to its end"):
            hostup(client, wire.url).status()

    def test_a_refused_connection_is_unreachable(self, client: HttpClient) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{closed.getsockname()[1]}"
            with pytest.raises(HostUpUnreachable, match="nothing was sent"):
                hostup(client, url).create_key("a label")

    def test_a_self_signed_certificate_is_unreachable(self, client: HttpClient) -> None:
        with Wire(answer(200, created()), tls=True) as wire:
            with pytest.raises(HostUpUnreachable, match="certificate"):
                hostup(client, wire.url).create_key("a label")
            assert wire.heard == []

    def test_a_trusted_certificate_is_accepted(self) -> None:
        with Wire(answer(200, created()), tls=True) as wire, new_client(ca_file=str(LOOPBACK_PEM)) as trusting:
            assert hostup(trusting, wire.url).create_key("a label").access_key == "AKIAEXAMPLE"


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_are_not_followed_and_the_key_stays_here(self, client: HttpClient, status: int) -> None:
        with Wire(answer(200, created())) as other:
            error = failure_of_create(client, answer(status, b"", {"Location": f"{other.url}/api"}))
            assert other.heard == []
        assert type(error) is HostUpRefused

    @pytest.mark.parametrize("location", ["mailto:x", "http://[::1", "http://xn--/", "x" * 60_000, ""])
    def test_to_nonsense_are_a_clear_no_too(self, client: HttpClient, location: str) -> None:
        assert type(failure_of_create(client, answer(302, b"", {"Location": location}))) is HostUpRefused


def test_cookies_are_not_sent_back(client: HttpClient) -> None:
    with Wire(answer(200, created(), {"Set-Cookie": "session=1; Path=/"})) as wire:
        api = hostup(client, wire.url)
        api.create_key("a label")
        api.create_key("a label")
        assert ["cookie" in heard.headers for heard in wire.heard] == [False, False]


def test_a_create_gets_a_connection_of_its_own(client: HttpClient) -> None:
    # a kept connection that the server closes at that moment would make the fate of the create unknown
    with Wire(answer(200, body({"provisioned": True})), answer(200, created())) as wire:
        api = hostup(client, wire.url)
        api.status()
        api.create_key("a label")
        api.delete_key("AKIAEXAMPLE")
        looked, made, deleted = wire.heard
    assert made.line != looked.line
    assert deleted.line == looked.line
