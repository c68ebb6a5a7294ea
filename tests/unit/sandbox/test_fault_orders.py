"""Which calls an order for a fault hits."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from tests.sandbox import BASE, create, plain_client
from worker.sandbox.simulator.faults import FaultAnswer, fault
from worker.sandbox.simulator.server import Simulator


def test_a_fault_hits_its_operation_only(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(fault("503", "status"))

    assert create(client).status_code == 200
    assert client.get(BASE).status_code == 503
    assert client.get(BASE).status_code == 200


def test_skip_and_times(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(fault("503", "status", times=2, skip=1))

    assert [client.get(BASE).status_code for _ in range(5)] == [200, 503, 503, 200, 200]


def test_orders_are_served_oldest_first(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.order(fault("502", "status"))
    simulator.admin.order(fault("504", "*"))
    assert [order["name"] for order in simulator.admin.open_faults()] == ["502", "504"]

    assert [client.get(BASE).status_code for _ in range(3)] == [502, 504, 200]
    assert simulator.admin.open_faults() == []


def test_chance_is_repeatable_by_its_seed(simulator: Simulator, client: httpx.Client) -> None:
    def run(seed: int) -> list[int]:
        simulator.admin.order(replace(fault("503", "status", times=-1), probability=0.5, seed=seed))
        statuses = [client.get(BASE).status_code for _ in range(40)]
        simulator.admin.clear()
        return statuses

    assert run(7) == run(7) != run(8)
    assert {200, 503} == set(run(7))


def test_s3_errors_are_in_s3s_shape(simulator: Simulator) -> None:
    simulator.admin.order(replace(fault("503", "s3"), answer=FaultAnswer.ERROR, code="SlowDown"))
    with plain_client(simulator.s3_url) as storage:
        answer = storage.get("/")

    assert answer.status_code == 503
    assert "<Code>SlowDown</Code>" in answer.text
    assert answer.headers["x-amz-request-id"]


@pytest.mark.parametrize(
    "nonsense", [{"operation": "rename"}, {"like": "no such"}, {"operatoin": "create"}, {"answer": "x"}, []]
)
def test_what_is_no_fault_is_refused(simulator: Simulator, nonsense: object) -> None:
    with plain_client(simulator.admin.url) as admin:
        answer = admin.post("/_sim/faults", json=nonsense)

    assert answer.status_code == 400
    assert answer.json()["error"]


def test_a_fault_may_be_ordered_by_its_name(simulator: Simulator, client: httpx.Client) -> None:
    with plain_client(simulator.admin.url) as admin:
        admin.post("/_sim/faults", json={"like": "429", "operation": "create", "retry_after": "9"})

    assert create(client).headers["Retry-After"] == "9"
