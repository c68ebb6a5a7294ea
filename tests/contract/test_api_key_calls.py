"""The calls about API keys: the simulator as it is documented, and the client through all that it can answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.contract.conftest import API_KEY
from tests.sandbox import BASE, HostUp, plain_client
from worker.adapters.hostup.api_keys import ApiKeyClient
from worker.adapters.http.client import HttpClient, new_client
from worker.errors import HostUpError, HostUpRefused, HostUpUncertain, HostUpUnreachable
from worker.rotation.ports import ApiKeyGrants, NewApiKey
from worker.sandbox.simulator.controls import KnownApiKey
from worker.sandbox.simulator.faults import CATALOGUE, Fault, FaultAnswer, fault
from worker.sandbox.simulator.server import Simulator
from worker.secret import Secret

DEADLINE = 2.0
FIELDS = ["key_id", "key", "name", "description", "scopes", "dns_permissions", "created_at", "message"]


@pytest.fixture(scope="module")
def http() -> Iterator[HttpClient]:
    with new_client() as made:
        yield made


@pytest.fixture
def calls(http: HttpClient, simulator: Simulator) -> ApiKeyClient:
    return ApiKeyClient(http, simulator.url, roll_deadline=DEADLINE, deadline=DEADLINE)


def first(simulator: Simulator) -> KnownApiKey:
    return simulator.admin.api_keys()[0]


def test_a_roll_answers_as_the_page_shows(hostup: HostUp, simulator: Simulator) -> None:
    old = first(simulator)
    answer = hostup.client.post(f"/api/keys/{old.key_id}/roll")
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert list(data) == FIELDS
    assert data["key_id"] != old.key_id
    assert data["key"] != old.api_key
    assert data["scopes"] == list(old.scopes)


def test_the_old_key_dies_at_once_and_the_new_one_works(hostup: HostUp, simulator: Simulator) -> None:
    new = hostup.client.post(f"/api/keys/{first(simulator).key_id}/roll").json()["data"]["key"]
    assert hostup.client.get(BASE).status_code == 401
    with plain_client(simulator.url, {"X-API-Key": new}) as other:
        assert other.get(BASE).status_code == 200


def test_the_old_key_may_live_on_for_a_while(hostup: HostUp, simulator: Simulator) -> None:
    simulator.admin.behave(old_api_key_lives=60.0)
    hostup.client.post(f"/api/keys/{first(simulator).key_id}/roll")
    assert hostup.client.get(BASE).status_code == 200
    simulator.admin.behave(old_api_key_lives=0.0)
    assert hostup.client.get(BASE).status_code == 401


def test_a_key_of_no_such_id_is_refused(hostup: HostUp, simulator: Simulator) -> None:
    assert hostup.client.post("/api/keys/key_nobody/roll").status_code == 404
    assert len(simulator.admin.api_keys()) == 1


@pytest.mark.parametrize("body", [{}, {"name": "x"}, {"name": "x", "scopes": "all", "is_test": False}, {"name": 7}])
def test_a_create_needs_what_the_page_says(hostup: HostUp, simulator: Simulator, body: object) -> None:
    assert hostup.client.post("/api/keys", json=body).status_code == 400
    assert len(simulator.admin.api_keys()) == 1


def test_the_client_rolls_a_key(calls: ApiKeyClient, simulator: Simulator) -> None:
    old = first(simulator)
    new = calls.roll(old.key_id, Secret(old.api_key))
    known = simulator.admin.api_keys()[-1]
    assert (new.api_key.reveal(), new.key_id, new.sure) == (known.api_key, known.key_id, True)
    assert new.grants == ApiKeyGrants("first", known.scopes, ())
    assert new.request_id == simulator.admin.calls("roll_api_key")[0].request_id
    assert calls.prove(new.api_key).provisioned
    with pytest.raises(HostUpRefused) as caught:
        calls.prove(Secret(old.api_key))
    assert caught.value.answer.status == 401


def test_the_client_creates_a_key(calls: ApiKeyClient, simulator: Simulator) -> None:
    new = calls.create(ApiKeyGrants("a name", ("one", "two"), ("three",)), Secret(API_KEY))
    known = simulator.admin.api_keys()[-1]
    assert (new.api_key.reveal(), known.name, known.scopes) == (known.api_key, "a name", ("one", "two"))
    assert new.grants == ApiKeyGrants("a name", ("one", "two"), ("three",))


def test_an_id_that_is_no_segment_of_a_path_is_never_sent(calls: ApiKeyClient, simulator: Simulator) -> None:
    for wrong in ("", ".", "..", "with blank", "x" * 200):
        with pytest.raises(HostUpRefused):
            calls.roll(wrong, Secret(API_KEY))
    assert simulator.admin.calls() == ()


def quick(each: Fault) -> Fault:
    """A fault whose waiting does not take longer than the deadline of these tests."""
    return replace(each, wait=min(each.wait, 2 * DEADLINE), effect_after=min(each.effect_after, 2 * DEADLINE))


WHOLE = (FaultAnswer.HONEST, FaultAnswer.NOTICE, FaultAnswer.BAD_HEADER)


def holds_key(each: Fault) -> bool:
    """Whether all of the new key is delivered, in whatever form."""
    taken = {"data.key", "data"} & {*each.without, *(path for path, _ in each.wrong)}
    in_time = not each.cut and each.keep is None and not each.wait and not each.interval and not each.effect_after
    return each.effect and each.answer in WHOLE and not taken and in_time


@pytest.mark.parametrize("name", CATALOGUE)
@pytest.mark.parametrize("operation", ["roll_api_key", "create_api_key"])
def test_whatever_is_answered_a_key_that_is_in_it_is_not_thrown_away(
    calls: ApiKeyClient, simulator: Simulator, name: str, operation: str
) -> None:
    ordered = quick(fault(name, operation))
    simulator.admin.order(ordered)
    old = first(simulator)
    outcome = outcome_of(calls, operation, old)
    simulator.admin.release()
    made = simulator.admin.api_keys()[1:]
    assert len(simulator.admin.calls(operation)) == 1
    if holds_key(ordered):
        assert isinstance(outcome, NewApiKey)
        assert outcome.api_key.reveal() == made[0].api_key
    elif isinstance(outcome, NewApiKey):
        found = {outcome.api_key.reveal(), *(each.reveal() for each in outcome.others)}
        assert made[0].api_key in found
    elif isinstance(outcome, HostUpRefused | HostUpUnreachable):
        assert made == ()
    else:
        assert isinstance(outcome, HostUpUncertain)
    text = repr(outcome) + str(outcome)
    assert not any(key.api_key in text for key in simulator.admin.api_keys())


def outcome_of(calls: ApiKeyClient, operation: str, old: KnownApiKey) -> NewApiKey | HostUpError:
    try:
        if operation == "roll_api_key":
            return calls.roll(old.key_id, Secret(old.api_key))
        return calls.create(ApiKeyGrants(scopes=("one",)), Secret(old.api_key))
    except HostUpError as error:
        return error
