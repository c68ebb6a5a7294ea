"""Rules and traces of the fault proxy: which requests are hit, and how they are named."""

from __future__ import annotations

import pytest

from tests.sandbox import BASE, HostUp, plain_client
from tests.unit.sandbox.conftest import API_KEY
from worker.sandbox.simulator.server import Simulator
from worker.selftest import actions
from worker.selftest.proxy import HttpProxy
from worker.selftest.script import Moment, Rule, Script, Step, template

CREATE = f"{BASE}/keys"


def test_the_trace_shows_every_request_once(hostup: HostUp, script: Script, proxy: HttpProxy) -> None:
    key = hostup.create()
    hostup.create()
    hostup.delete(key["accessKey"])
    hostup.client.get(f"{BASE}?list=true&version=3")

    assert [(seen.number, seen.method, seen.path, seen.nth, seen.status) for seen in script.trace()] == [
        (1, "POST", CREATE, 1, 200),
        (2, "POST", CREATE, 2, 200),
        (3, "DELETE", f"{BASE}/keys/{{key}}", 1, 200),
        (4, "GET", f"{BASE}?list&version", 1, 200),
    ]
    assert script.steps()[1] == Step("hostup", "POST", CREATE, 2)
    assert {seen.service for seen in script.trace()} == {proxy.service}


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("/v1/secret/data/state/media", "/v1/secret/data/state/{bucket}"),
        ("/v1/secret/data/state/media/archive/17", "/v1/secret/data/state/{bucket}/archive/{number}"),
        ("/v1/x/0b2a3f6e-58f5-4a9a-8c1e-0a0b0c0d0e0f?version=2", "/v1/x/{uuid}?version"),
        ("/api/object-storage/keys/QUJD%3D", "/api/object-storage/keys/{key}"),
        ("/", "/"),
    ],
)
def test_templates(target: str, shown: str) -> None:
    assert template(target, {"media": "{bucket}"}) == shown


def test_a_rule_is_for_the_nth_request_of_its_kind(hostup: HostUp, script: Script) -> None:
    script.add(Rule(Moment.BEFORE, actions.answer(503), path=CREATE, nth=2, times=2))

    statuses = [(hostup.post({"label": "x"}).status_code, hostup.client.get(BASE).status_code) for _ in range(4)]

    assert statuses == [(200, 200), (503, 200), (503, 200), (200, 200)]


def test_a_rule_for_all(hostup: HostUp, script: Script) -> None:
    script.add(Rule(Moment.BEFORE, actions.answer(503), service="hostup", times=-1))
    assert [hostup.client.get(BASE).status_code for _ in range(3)] == [503] * 3

    script.clear()
    assert hostup.client.get(BASE).status_code == 200


def test_a_rule_for_another_service(hostup: HostUp, script: Script) -> None:
    script.add(Rule(Moment.BEFORE, actions.answer(503), service="vault", times=-1))

    assert hostup.client.get(BASE).status_code == 200


def test_a_rule_made_from_a_step_hits_it_in_the_next_run(simulator: Simulator) -> None:
    def run(script: Script) -> list[int]:
        proxy = HttpProxy("hostup", simulator.url, script)
        with proxy, plain_client(proxy.url, {"X-API-Key": API_KEY}) as client:
            return [HostUp(client).post({"label": "x"}).status_code for _ in range(3)]

    clean = Script()
    assert run(clean) == [200, 200, 200]
    for place, step in enumerate(clean.steps()):
        broken = Script()
        broken.add(Rule.at(step, Moment.AFTER, actions.answer(502)))
        assert [status == 502 for status in run(broken)] == [place == each for each in range(3)]
        assert broken.steps() == clean.steps()
