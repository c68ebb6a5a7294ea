"""HostUp, Vault or Redis gone for a week: nothing is lost, nothing piles up, and it is right again within a tick."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from tests.chaos_run.shift import DAY, WEEK, Shift
from tests.sandbox import wait_until
from worker.rotation.ports import Life
from worker.sandbox.servers import ValkeyServer, VaultServer
from worker.sandbox.simulator.faults import fault
from worker.secret import Secret
from worker.selftest.evidence import Json
from worker.targets.fields import PRESETS

MOST_BYTES = 64 * 1024
"""Of a record: far below what the servers take (docs/facts.md, "Vault")."""

MOST_HISTORY = 62
"""Entries in a record: the limit, and what one step may add before they are archived."""


def _see_that_keys_work(shift: Shift) -> None:
    for name, target in shift.runtime.settings.targets.items():
        secret = shift.runtime.services.vault.read(target.path).data
        assert secret is not None
        assert secret["access_key"] == shift.current()[name]
        key = Secret(str(secret["secret_key"]))
        assert shift.runtime.services.at("default").storage.works(str(secret["access_key"]), key).life is Life.ALIVE
        assert PRESETS["plain"].read(secret, "rotation_id")


def _see_that_nothing_piled_up(shift: Shift) -> None:
    targets = len(shift.runtime.settings.targets)
    assert shift.longest_backlog <= targets
    assert shift.runtime.shared.requests.all() == {}
    for name, record in shift.records().items():
        assert len(json.dumps(record)) < MOST_BYTES, name
        assert len(record["history"]) <= MOST_HISTORY, name
        assert len(record["retiring"]) <= 2, name
        assert len(_open_creates(record)) <= 3, name
    keys = cast_size(shift)
    assert all(size <= 50 * targets for size in keys.values()), keys


def cast_size(shift: Shift) -> Mapping[str, int]:
    """How many members each of Redis' sets and hashes has."""
    sizes = {
        "hash": shift.client.hlen,
        "zset": shift.client.zcard,
        "set": shift.client.scard,
        "list": shift.client.llen,
    }
    found = {}
    for key in shift.client.scan_iter():
        count = sizes.get(str(shift.client.type(key)))
        if count:
            found[str(key)] = int(str(count(str(key))))
    return found


def _open_creates(record: Json) -> list[Json]:
    return [create for create in record["unconfirmed_creates"] if not create["settled"]]


@pytest.mark.parametrize("trouble", ["503", "cut-before", "429"])
def test_hostup_and_its_storage_are_gone_for_a_week(shift: Shift, trouble: str) -> None:
    before, calls = shift.current(), shift.calls()
    assert len(before) == 4
    shift.simulator.admin.order(fault(trouble, "*", times=-1))
    shift.live(WEEK)
    during = shift.calls() - calls
    shift.simulator.admin.clear()
    assert shift.current() == before
    _see_that_keys_work(shift)
    _see_that_nothing_piled_up(shift)
    ticks = WEEK / shift.every
    assert during["create"] <= 3 * len(before)
    assert sum(during.values()) <= 2 * ticks, during

    shift.next_tick()
    after = shift.calls() - calls - during
    assert not set(before.values()) & set(shift.current().values()), "a target has not been rotated yet"
    _see_that_keys_work(shift)
    assert after["create"] == len(before)
    assert after["status"] <= 2 * len(before)
    assert all(not record["failure"] for record in shift.records().values())


def test_vault_is_sealed_for_a_week(shift: Shift, vault: VaultServer) -> None:
    before, calls = shift.current(), shift.calls()
    vault.seal()
    shift.live(WEEK)
    assert shift.calls() == calls, "HostUp was called although nothing could be written down"
    assert shift.errors.keys() == {"VaultSealed"}
    vault.unseal()
    assert shift.current() == before
    _see_that_keys_work(shift)
    _see_that_nothing_piled_up(shift)
    seen = shift.calls()  # with what this test itself asked just now

    shift.next_tick()
    after = shift.calls() - seen
    assert not set(before.values()) & set(shift.current().values())
    _see_that_keys_work(shift)
    assert after["create"] == len(before)
    assert after["status"] <= 2, "once for the count before the creates, once for the endpoint"


@pytest.mark.parametrize("wiped", [False, True], ids=["kept", "wiped"])
def test_redis_is_gone_for_a_week(shift: Shift, valkey: ValkeyServer, *, wiped: bool) -> None:
    before, calls = shift.current(), shift.calls()
    valkey.stop()
    for _ in range(7):
        shift.clock.jump(DAY)
        shift.tick()
    assert shift.errors.keys() == {"QueueUnavailable"}
    assert shift.calls() == calls
    assert shift.current() == before
    _see_that_keys_work(shift)
    again = valkey.restart()
    try:
        if wiped:
            shift.client.flushall()
        shift.next_tick()
        assert not set(before.values()) & set(shift.current().values())
        _see_that_keys_work(shift)
        _see_that_nothing_piled_up(shift)
        assert (shift.calls() - calls)["create"] == len(before)
    finally:
        again.stop()


def test_a_request_made_while_vault_is_away_is_served_when_it_is_back(shift: Shift, vault: VaultServer) -> None:
    before = shift.current()
    vault.seal()
    shift.ask("t0", "message-1")
    shift.live(DAY / 2)
    vault.unseal()
    shift.next_tick()
    wait_until(lambda: shift.current()["t0"] != before["t0"], "the request is served")
    assert [request for request, _ in shift.record("t0")["served"]] == ["message-1"]
    assert {n: k for n, k in shift.current().items() if n != "t0"} == {n: k for n, k in before.items() if n != "t0"}


def test_what_was_wrong_with_a_key_that_was_replaced_is_over(shift: Shift) -> None:
    name, dead = next(iter(shift.current().items()))
    shift.simulator.admin.remove_key(dead)
    for _ in range(5):
        shift.next_tick()
        if shift.current()[name] != dead:
            break
    sighting = shift.runtime.shared.watches.sighting(name)
    assert sighting is not None
    assert shift.current()[name] != dead
    assert not sighting["watch_found"], "the look that replaced the key told of the old one"
