"""The fault proxy, between a client and a simulator."""

from __future__ import annotations

import threading

import httpx
import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.actions import drip, redirect, truncate
from tests.sandbox import BASE, PATIENCE, HostUp, plain_client, wait_until
from tests.unit.sandbox.conftest import API_KEY
from worker.sandbox.simulator.server import Simulator
from worker.sandbox.wire import HttpServer, Request, Response
from worker.selftest import actions
from worker.selftest.actions import Gate
from worker.selftest.proxy import HttpProxy
from worker.selftest.script import Action, Exchange, Moment, Rule, Script

CREATE = f"{BASE}/keys"


def made(simulator: Simulator) -> int:
    return len(simulator.admin.keys())


def test_without_rules_everything_gets_through(hostup: HostUp, simulator: Simulator) -> None:
    key = hostup.create("label")
    hostup.create()

    assert simulator.admin.keys()[key["accessKey"]].secret_key == key["secretKey"]
    assert hostup.delete(key["accessKey"]).status_code == 200
    assert hostup.key_count() == 1
    assert hostup.post({}).status_code == 400


def test_signatures_stay_right(simulator: Simulator, script: Script) -> None:
    key = simulator.admin.add_key("app")
    with HttpProxy("s3", simulator.s3_url, script) as proxy, plain_client(proxy.url) as client:
        statuses = []
        for method, path, body in (
            ("PUT", "/media", b""),
            ("PUT", "/media/a%20b", b"x" * 100_000),
            ("HEAD", "/media/a%20b", b""),
        ):
            request = AWSRequest(method, proxy.url + path, data=body)
            S3SigV4Auth(Credentials(key.access_key, key.secret_key), "s3", "eu-north-1").add_auth(request)
            answer = client.request(method, path, headers=dict(request.headers.items()), content=body or None)
            statuses.append((answer.status_code, answer.headers["content-length"]))

    assert statuses == [(200, "0"), (200, "0"), (200, "100000")]
    assert [seen.path for seen in script.trace()] == ["/{bucket}", "/{bucket}/a%20b", "/{bucket}/a%20b"]


def test_cut_before_the_effect(hostup: HostUp, script: Script, simulator: Simulator) -> None:
    script.add(Rule(Moment.BEFORE, actions.cut(), method="POST"))

    with pytest.raises(httpx.TransportError):
        hostup.create()

    assert made(simulator) == 0
    assert script.trace()[0].status is None


def test_cut_after_the_effect(hostup: HostUp, script: Script, simulator: Simulator) -> None:
    script.add(Rule(Moment.AFTER, actions.cut(), method="POST"))

    with pytest.raises(httpx.TransportError):
        hostup.create()

    assert made(simulator) == 1


def test_an_answer_put_in_its_place_after_the_effect(hostup: HostUp, script: Script, simulator: Simulator) -> None:
    script.add(Rule(Moment.AFTER, actions.answer(502, b"<html>", ("Content-Type", "text/html"))))

    answer = hostup.post({"label": "x"})

    assert (answer.status_code, answer.text) == (502, "<html>")
    assert made(simulator) == 1
    assert script.trace()[0].status == 502


def test_a_redirect_to_another_host(hostup: HostUp, script: Script) -> None:
    script.add(Rule(Moment.BEFORE, redirect("http://127.0.0.1:9")))

    answer = hostup.client.get(f"{BASE}?x=1")

    assert (answer.status_code, answer.headers["location"]) == (307, f"http://127.0.0.1:9{BASE}?x=1")


def test_a_truncated_answer(hostup: HostUp, script: Script) -> None:
    whole = hostup.client.get(BASE).content
    script.add(Rule(Moment.AFTER, truncate()))

    cut = hostup.client.get(BASE).content

    assert len(cut) == len(whole) // 2
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        httpx.Response(200, content=cut).json()


@pytest.mark.parametrize("action", [actions.late(0.05), drip(0.0001)])
def test_slow_answers_are_whole_for_who_waits(hostup: HostUp, script: Script, action: Action) -> None:
    script.add(Rule(Moment.AFTER, action))

    assert hostup.status()["keyCount"] == 0


def test_a_late_answer_is_too_late_for_who_does_not_wait(hostup: HostUp, script: Script, simulator: Simulator) -> None:
    script.add(Rule(Moment.AFTER, actions.late(3600)))

    with pytest.raises(httpx.ReadTimeout):
        hostup.client.post(CREATE, json={"label": "x"}, timeout=0.1)

    wait_until(lambda: made(simulator) == 1, "the effect took place")


def test_a_request_is_held_until_it_is_released(hostup: HostUp, script: Script, simulator: Simulator) -> None:
    gate = Gate()
    script.add(Rule(Moment.BEFORE, actions.hold(gate), method="POST"))
    answers: list[httpx.Response] = []
    caller = threading.Thread(target=lambda: answers.append(hostup.post({"label": "x"})))
    caller.start()
    assert gate.arrived.wait(PATIENCE)
    with plain_client(str(hostup.client.base_url), {"X-API-Key": API_KEY}) as other:
        for _ in range(20):
            assert HostUp(other).key_count() == 0, "others get through, the held one does not"
    assert not answers

    gate.opened.set()

    caller.join(PATIENCE)
    assert answers[0].status_code == 200
    assert made(simulator) == 1


def test_the_moments_come_in_order(hostup: HostUp, script: Script, simulator: Simulator) -> None:
    told: list[tuple[str, int, int | None]] = []

    def note(moment: Moment) -> Action:
        def action(exchange: Exchange) -> None:
            told.append((moment.value, made(simulator), exchange.answer.status if exchange.answer else None))

        return action

    for moment in Moment:
        script.add(Rule(moment, note(moment)))
    hostup.create()

    wait_until(lambda: len(told) == 3, "the answer was delivered")
    assert told == [("before", 0, None), ("after", 1, 200), ("delivered", 1, 200)]


def test_the_first_action_that_answers_wins(hostup: HostUp, script: Script) -> None:
    called: list[str] = []
    script.add(
        Rule(
            Moment.BEFORE,
            actions.first(
                actions.call(lambda: called.append("first")),
                actions.answer(418),
                actions.call(lambda: called.append("never")),
            ),
        )
    )

    assert hostup.client.get(BASE).status_code == 418
    assert called == ["first"]


def test_an_upstream_that_is_gone_is_a_reset(proxy: HttpProxy, hostup: HostUp, simulator: Simulator) -> None:
    assert hostup.key_count() == 0
    simulator.stop()

    with pytest.raises(httpx.TransportError):
        hostup.client.get(BASE)

    with Simulator(API_KEY) as another:
        proxy.upstream = another.url
        assert hostup.key_count() == 0


def test_a_stopped_proxy_leaves_its_port(simulator: Simulator, script: Script) -> None:
    proxy = HttpProxy("hostup", simulator.url, script)
    with plain_client(proxy.url, {"X-API-Key": API_KEY}) as client:
        assert client.get(BASE).status_code == 200
        proxy.stop()
        with pytest.raises(httpx.TransportError):
            client.get(BASE)
    with HttpProxy("hostup", simulator.url, script, proxy.port) as again, plain_client(again.url) as client:
        assert client.get(BASE).status_code == 401


def test_chunked_bodies_get_through(script: Script) -> None:
    """hvac and httpx send lengths, but a client that sends chunks must not be misread."""
    heard: list[Request] = []

    def handle(request: Request) -> Response:
        heard.append(request)
        return Response(200, request.body)

    upstream = HttpServer(handle)
    proxy = HttpProxy("any", upstream.url, script)
    with upstream, proxy, plain_client(proxy.url) as client:
        answer = client.post("/x", content=iter([b"one ", b"two"]))

    assert answer.text == "one two"
    assert heard[0].headers["content-length"] == "7"
