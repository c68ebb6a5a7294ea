"""Faults as a client of the API meets them, and what the ledger says of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.sandbox import BASE, PATIENCE, create, wait_until
from tests.unit.sandbox.conftest import API_KEY
from worker.adapters.hostup.client import HostUpClient
from worker.adapters.http.client import HttpClient, new_client
from worker.errors import HostUpUncertain
from worker.sandbox.simulator.faults import CATALOGUE, Fault, fault
from worker.sandbox.simulator.ledger import Call
from worker.sandbox.simulator.server import Simulator
from worker.secret import Secret
from worker.settings.credential import Credential


def hostup(http: HttpClient, simulator: Simulator) -> HostUpClient:
    return HostUpClient(http, simulator.url, Credential(Secret(API_KEY)), create_deadline=PATIENCE, deadline=PATIENCE)


def only_call(simulator: Simulator) -> Call:
    """The one create of a test, once it is over."""
    wait_until(lambda: [call.answered for call in simulator.admin.calls("create")] == [True], "the call is over")
    return simulator.admin.calls("create")[0]


ANSWERED = {
    "500-before": (500, False),
    "500-after": (500, True),
    "500-without-request-id": (500, False),
    "502": (502, False),
    "502-after": (502, True),
    "503": (503, False),
    "504-after": (504, True),
    "429": (429, False),
    "429-without-retry-after": (429, False),
    "400": (400, False),
    "401": (401, False),
    "403": (403, False),
    "404": (404, False),
    "problem-500": (500, False),
    "problem-422": (422, False),
    "truncated": (200, True),
    "garbage": (200, True),
    "notice-before": (200, True),
    "wrong-label": (200, True),
    "wrong-type-data": (200, True),
    "wrong-type-secret-key": (200, True),
    "without-secret-key": (200, True),
    "without-access-key": (200, True),
    "without-request-id": (200, True),
}


@pytest.mark.parametrize(("name", "status", "effect"), [(name, *how) for name, how in ANSWERED.items()])
def test_a_fault_that_answers(
    simulator: Simulator, client: httpx.Client, name: str, status: int, *, effect: bool
) -> None:
    simulator.admin.order(fault(name, "create"))

    answer = create(client)

    assert answer.status_code == status
    call = only_call(simulator)
    assert (call.effect, call.status, call.fault, call.delivered) == (effect, status, name, True)
    assert (len(simulator.admin.keys()) == 1) is effect
    assert create(client).status_code == 200, "the order was for one call only"


UNANSWERED = {"cut-before": False, "cut-after": True, "cut-in-body": True, "not-http": True}


@pytest.mark.parametrize(("name", "effect"), UNANSWERED.items())
def test_a_fault_that_breaks_the_connection(
    simulator: Simulator, client: httpx.Client, name: str, *, effect: bool
) -> None:
    simulator.admin.order(fault(name, "create"))

    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        create(client)

    call = only_call(simulator)
    assert call.effect is effect
    assert call.request_id is None
    assert create(client).status_code == 200


@pytest.mark.parametrize(("name", "effect"), [("timeout-before", False), ("timeout-after", True)])
def test_a_fault_that_hangs_until_the_client_gives_up(
    simulator: Simulator, client: httpx.Client, name: str, *, effect: bool
) -> None:
    simulator.admin.order(fault(name, "create"))

    with pytest.raises(httpx.ReadTimeout):
        create(client, timeout=0.1)

    call = only_call(simulator)
    assert (call.effect, call.delivered) == (effect, False)


def test_release_lets_a_hanging_answer_go(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(fault("timeout-after", "create"))
    answers: list[httpx.Response] = []
    caller = threading.Thread(target=lambda: answers.append(create(client)))
    caller.start()
    wait_until(lambda: len(simulator.admin.keys()) == 1, "the effect takes place first")
    assert not answers

    simulator.admin.release()

    caller.join(PATIENCE)
    assert answers[0].status_code == 200
    assert only_call(simulator).delivered


def test_an_effect_may_come_after_the_client_has_given_up(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(fault("slow-effect", "create"))
    with pytest.raises(httpx.ReadTimeout):
        create(client, timeout=0.1)
    assert client.get(BASE).json()["data"]["keyCount"] == 0

    simulator.admin.release()

    wait_until(lambda: len(simulator.admin.keys()) == 1, "the key is made after all")
    assert client.get(BASE).json()["data"]["keyCount"] == 1


@pytest.mark.parametrize("kind", [{"wait": 0.05}, {"interval": 0.0001}])
def test_late_and_dripping_answers_are_whole_for_who_waits(
    simulator: Simulator, client: httpx.Client, kind: dict[str, float]
) -> None:
    simulator.admin.order(replace(Fault("create"), **kind))  # type: ignore[arg-type]  # only floats are given

    assert create(client).json()["data"]["key"]["label"] == "x"


def test_the_documented_error(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(fault("500-before", "create"))

    document = create(client).json()

    assert document["code"] == "INTERNAL_ERROR"
    assert document["error"] == "Internal Server Error"
    assert document["message"] == "An unexpected error occurred"
    assert document["requestId"] == only_call(simulator).request_id


def test_an_error_without_a_request_id(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(fault("500-without-request-id", "create"))

    assert "requestId" not in create(client).json()
    assert only_call(simulator).request_id is None


def test_rfc_7807(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(fault("problem-422", "create"))

    answer = create(client)

    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert {"type", "title", "status", "detail", "code", "instance", "requestId", "timestamp"} == set(document)
    assert document["status"] == 422


def test_too_many_requests(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(replace(fault("429", "create"), retry_after="7"))

    answer = create(client)

    assert answer.headers["Retry-After"] == "7"
    assert {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} <= {
        name.title().replace("Ratelimit", "RateLimit") for name in answer.headers
    }


def test_a_gateways_page_is_not_json(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(fault("502", "create"))

    answer = create(client)

    assert answer.headers["content-type"] == "text/html"
    assert "<html>" in answer.text


@pytest.mark.parametrize(
    ("name", "look", "expected"),
    [
        ("wrong-type-secret-key", lambda document: document["data"]["key"]["secretKey"], 12345),
        ("wrong-type-data", lambda document: document["data"], ["no", "object"]),
        ("without-secret-key", lambda document: sorted(document["data"]["key"]), ["accessKey", "label"]),
        ("without-access-key", lambda document: sorted(document["data"]["key"]), ["label", "secretKey"]),
        ("without-request-id", sorted, ["data", "success", "timestamp"]),
        ("wrong-type-request-id", lambda document: document["requestId"], 7),
    ],
)
def test_edited_answers(
    simulator: Simulator, client: httpx.Client, name: str, look: Callable[[Any], object], expected: object
) -> None:
    simulator.admin.order(fault(name, "create"))

    assert look(create(client).json()) == expected


def test_a_truncated_answer_is_no_json(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(fault("truncated", "create"))

    answer = create(client)

    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()


@pytest.mark.parametrize(
    ("name", "salvaged"),
    [("notice-before", ("text before the JSON",)), ("bad-header", ("a header line without a colon",))],
)
def test_a_key_in_an_answer_out_of_form_is_ours(simulator: Simulator, name: str, salvaged: tuple[str, ...]) -> None:
    simulator.admin.order(fault(name, "create"))

    with new_client() as http:
        made = hostup(http, simulator).create_key("a label")

    (key,) = simulator.admin.keys().values()
    assert (made.access_key, made.secret_key.reveal()) == (key.access_key, key.secret_key)
    assert made.request_id == only_call(simulator).request_id
    assert made.salvaged == salvaged


def test_a_key_with_the_label_of_somebody_else_is_not_ours(simulator: Simulator) -> None:
    simulator.admin.order(fault("wrong-label", "create"))

    with new_client() as http, pytest.raises(HostUpUncertain, match="another label") as caught:
        hostup(http, simulator).create_key("a label")

    assert caught.value.access_key is None
    assert caught.value.request_id == only_call(simulator).request_id


def test_a_redirect(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(replace(fault("redirect", "create"), location="http://127.0.0.1:9/elsewhere"))

    answer = create(client)

    assert (answer.status_code, answer.headers["location"]) == (307, "http://127.0.0.1:9/elsewhere")
    assert simulator.admin.keys() == {}


def test_every_fault_of_the_catalogue_has_its_name() -> None:
    assert all(each.name == name for name, each in CATALOGUE.items())
    assert {*ANSWERED, *UNANSWERED} <= set(CATALOGUE)
