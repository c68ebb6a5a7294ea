"""A Vault without leader: standbys may serve reads, and nothing can be written."""

from __future__ import annotations

import pytest

from tests.contract.vault.answers import document, errors, token, told
from tests.contract.vault.conftest import Connect, SteppedClock
from tests.records import empty
from tests.wire import Step, Wire, answer
from worker.errors import VaultError, VaultNoLeader, VaultStandby
from worker.events import Event
from worker.rotation.changes.rotation import note
from worker.rotation.record import encode
from worker.rotation.records import RecordStore
from worker.secret import Secret

MOVED = answer(307, headers={"Location": "https://127.0.0.1:1/"})
NOBODY = told({"ha_enabled": True, "is_self": False, "leader_address": ""})
SOMEBODY = told({"ha_enabled": True, "is_self": False, "leader_address": "https://other:8200"})
ALONE = told({"ha_enabled": False, "is_self": False, "leader_address": ""})


@pytest.mark.parametrize("words", ["local node not active but active cluster node not found", "no active node found"])
def test_it_is_told_by_its_words(connected: Connect, words: str) -> None:
    with Wire(token(), errors(500, words)) as wire, pytest.raises(VaultNoLeader, match="no leader") as caught:
        connected(wire.url, token=Secret("s")).read("app")
    assert caught.value.exit_code == 75


@pytest.mark.parametrize(
    ("leader", "error"),
    [(NOBODY, VaultNoLeader), (SOMEBODY, VaultStandby), (ALONE, VaultStandby), (errors(500, "x"), VaultStandby)],
)
def test_a_redirect_is_told_apart_by_asking_for_the_leader(
    connected: Connect, leader: Step, error: type[VaultError]
) -> None:
    with Wire(token(), MOVED, leader) as wire:
        with pytest.raises(VaultError) as caught:
            connected(wire.url, token=Secret("s")).write("app", {}, 0)
        assert type(caught.value) is error
        assert wire.heard[-1].target == "/v1/sys/leader"
        assert "x-vault-token" not in wire.heard[-1].headers


def test_a_login_that_is_redirected_is_no_refused_login(connected: Connect) -> None:
    with Wire(MOVED) as wire, pytest.raises(VaultStandby):
        connected(wire.url, role_id="role", secret_id=Secret("s")).read("app")


def test_health_asks_for_the_leader_of_a_standby_only(connected: Connect) -> None:
    standby = told({"initialized": True, "sealed": False, "standby": True, "version": "1"}, 429)
    active = told({"initialized": True, "sealed": False, "standby": False, "version": "1"})
    with Wire(standby, NOBODY, active) as wire:
        store = connected(wire.url)
        assert store.health().leaderless
        assert not store.health().leaderless
        assert len(wire.heard) == 3


def test_a_change_pauses_between_tries_and_keeps_the_reason(connected: Connect, clock: SteppedClock) -> None:
    """A standby without leader serves reads: that is not another program that writes."""
    record = document(3, **encode(empty()))
    cycle = [MOVED, NOBODY, record]
    with Wire(token(), record, *cycle * 20) as wire:
        store = RecordStore(connected(wire.url, token=Secret("s")), "state", clock)
        loaded = store.load("media", "apps/media")
        since = clock.seconds
        with pytest.raises(VaultNoLeader, match="no leader"):
            store.change(loaded, lambda known: note(known, Event.KEY_ADOPTED, clock.now()))
        assert len([heard for heard in wire.heard if heard.method == "POST"]) == 4
        assert clock.seconds > since


def test_a_change_goes_on_once_there_is_a_leader(connected: Connect, clock: SteppedClock) -> None:
    record, written = document(3, **encode(empty())), told({"request_id": "r", "data": {"version": 4}})
    with Wire(token(), record, MOVED, NOBODY, record, written) as wire:
        store = RecordStore(connected(wire.url, token=Secret("s")), "state", clock)
        loaded = store.load("media", "apps/media")
        assert store.change(loaded, lambda known: note(known, Event.KEY_ADOPTED, clock.now())).version == 4
