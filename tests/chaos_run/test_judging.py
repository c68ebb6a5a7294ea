"""What a run is judged by is judged itself: what excuses a lost API key, and whether one account held up the other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.chaos_run.accounts import pace_meanwhile
from tests.chaos_run.api_key import shows_the_key
from tests.records import NOW, SECOND
from worker.adapters.hostup.api_keys import ApiKeyClient
from worker.adapters.http.client import HttpClient, new_client
from worker.errors import HostUpError
from worker.sandbox.simulator.controls import SimulatorAdmin
from worker.sandbox.simulator.faults import CATALOGUE, fault
from worker.sandbox.simulator.server import Simulator
from worker.secret import Secret
from worker.selftest.evidence import Json

API_KEY = "a-key-of-the-simulator"
SLOW = frozenset(name for name, each in CATALOGUE.items() if each.wait or each.interval or each.effect_after)

BY_CHANCE = frozenset({"truncated"})
"""The key may stand in the half of the answer that comes."""


@pytest.fixture(scope="module")
def http() -> Iterator[HttpClient]:
    with new_client() as made:
        yield made


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(API_KEY) as running:
        yield running


def _rolled(http: HttpClient, simulator: Simulator) -> str:
    admin: SimulatorAdmin = simulator.admin
    living = next(key for key in reversed(admin.api_keys()) if key.works)
    calls = ApiKeyClient(http, simulator.url, roll_deadline=20, deadline=20)
    try:
        return calls.roll(living.key_id, Secret(living.api_key)).api_key.reveal()
    except HostUpError:
        return ""


@pytest.mark.parametrize("name", sorted(set(CATALOGUE) - SLOW))
def test_a_lost_key_is_excused_by_no_fault_that_leaves_it_in_the_answer(
    http: HttpClient, simulator: Simulator, name: str
) -> None:
    simulator.admin.clear()
    simulator.admin.order(fault(name, "roll_api_key"))
    taken = _rolled(http, simulator)
    made = simulator.admin.api_keys()[-1].api_key
    if name not in BY_CHANCE:
        assert (taken == made) is shows_the_key(f"roll_api_key: {name}")


@pytest.mark.parametrize("name", sorted(SLOW))
def test_one_that_only_takes_long_excuses_nothing_where_it_arrives_whole(name: str) -> None:
    assert shows_the_key(name) is (CATALOGUE[name].answer.value == "honest")


def test_an_account_that_is_down_excuses_it_and_an_answer_without_a_fault_does_not() -> None:
    assert shows_the_key(None)
    assert not any(shows_the_key(f"roll_api_key: down: {kind}") for kind in ("401", "429", "500", "HTML", "silence"))


def _made(account: str, *seconds: float) -> list[Json]:
    effect = {"kind": "effect", "operation": "create", "call": 1, "account": account}
    return [{**effect, "at": (NOW + each * SECOND).isoformat()} for each in seconds]


def test_the_pace_of_the_one_while_the_other_is_down() -> None:
    down = [("second", NOW + 40 * SECOND, NOW + 60 * SECOND)]
    own = _made("second", *range(0, 100, 2))
    steady, held_up = _made("default", *range(0, 101, 2)), _made("default", *range(0, 40, 2), *range(61, 101, 2))
    assert pace_meanwhile([*own, *steady], down) == pytest.approx(1, abs=0.1)
    assert pace_meanwhile([*own, *held_up], down) == 0
    assert pace_meanwhile([*own, *steady], []) == 1
    twice = [*down, ("second", NOW, NOW + timedelta(seconds=20))]
    assert 0.3 < pace_meanwhile([*own, *held_up], twice) < 0.9
