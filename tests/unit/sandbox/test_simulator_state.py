"""The simulator's behaviour, ledger and state."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path

import httpx
import pytest

from tests.sandbox import PATIENCE, create, plain_client, wait_until
from tests.unit.sandbox.conftest import API_KEY
from worker.sandbox.simulator.controls import SimulatorRefused
from worker.sandbox.simulator.server import Listening, Simulator


@pytest.mark.parametrize("change", [{"no_such": 1}, {"spread": "long"}, {"suspended": 1}])
def test_unknown_behaviour_is_refused(simulator: Simulator, change: dict[str, object]) -> None:
    with pytest.raises(SimulatorRefused, match=next(iter(change))):
        simulator.admin.behave(**change)


def test_more_creates_at_once_than_the_gateway_takes(simulator: Simulator, client: httpx.Client) -> None:
    simulator.admin.behave(parallel_creates=1, latency_ms=3_600_000)
    answers: list[int] = []
    callers = [threading.Thread(target=lambda: answers.append(create(client).status_code)) for _ in range(3)]
    for caller in callers:
        caller.start()
    wait_until(lambda: answers == [500, 500], "all but one are refused at once")

    simulator.admin.release()

    for caller in callers:
        caller.join(PATIENCE)
    assert answers == [500, 500, 200]
    assert sorted(call.effect for call in simulator.admin.calls("create")) == [False, False, True]


def test_the_ledger_tells_all_but_secrets(simulator: Simulator, client: httpx.Client, tmp_path: Path) -> None:
    label = f"media {uuid.uuid4()}"
    answer = create(client, label).json()
    create(client)
    by_hand = simulator.admin.add_key("by hand")
    with plain_client(simulator.s3_url) as storage:
        storage.get("/")
    assert simulator.admin.remove_key(by_hand.access_key)

    call = simulator.admin.calls("create")[0]
    assert (call.label, call.request_id) == (label, answer["requestId"])
    assert call.access_key == answer["data"]["key"]["accessKey"]
    entries = simulator.admin.ledger()
    assert [entry["n"] for entry in entries] == list(range(1, len(entries) + 1))
    assert simulator.admin.ledger(since=2) == entries[2:]
    assert [entry["accepted"] for entry in simulator.admin.s3_uses()] == [False]
    written = (tmp_path / "ledger.jsonl").read_text("utf-8")
    assert [json.loads(line) for line in written.splitlines()] == entries
    for key in simulator.admin.keys().values():
        assert key.secret_key not in written
        assert key.access_key in written


def test_keys_outlive_the_simulator_if_wanted(tmp_path: Path) -> None:
    place = Listening(state=tmp_path / "keys.json")
    with Simulator(API_KEY, place=place) as before:
        kept, gone = before.admin.add_key("kept"), before.admin.add_key("gone")
        before.admin.remove_key(gone.access_key)

    with Simulator(API_KEY, place=place) as after:
        assert after.admin.keys() == {kept.access_key: kept}
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
