"""What workers share of several accounts: each has its own, on a real Valkey."""

from __future__ import annotations

import pytest
import redis

from tests.doubles import MemoryClock, MemoryHostUp
from tests.integration.test_account import LIMITS, NO_ANSWER
from tests.records import MINUTE, NOW
from worker.adapters.redis.account import Account
from worker.adapters.redis.keys import OF_ACCOUNT, at
from worker.adapters.redis.state import SharedState, shared_state
from worker.errors import CircuitOpen, HostUpCall, HostUpRateLimited

BOTH = ("default", "media")
LIMITED = HostUpRateLimited("too many", HostUpCall("create_key", 429, retry_after=60.0))


def accounts(client: redis.Redis) -> dict[str, Account]:
    return {name: Account(client, MemoryHostUp(), MemoryClock(), LIMITS, name) for name in BOTH}


def test_the_default_account_has_the_names_of_before() -> None:
    assert [at("default", key) for key in OF_ACCOUNT] == list(OF_ACCOUNT)
    assert at("media", "rotator:circuit") == "rotator:circuit:media"


def test_one_circuit_parks_only_its_own_targets(client: redis.Redis) -> None:
    both, shared = accounts(client), shared_state(client, BOTH)
    shared.due.schedule_missing(("films", "web"), NOW + MINUTE)
    for _ in range(3):
        both["media"].failed(NO_ANSWER)
    assert both["default"].enter("web") is False
    with pytest.raises(CircuitOpen, match=r"account media.*--account media"):
        both["media"].enter("films")
    assert shared.circuit("media").turned_away({"films"}) == {"films"}
    assert shared.circuit("default").turned_away({"films"}) == frozenset()
    assert {held.account for held in shared.held(NOW)} == {"media"}
    shared.circuit("default").close_all(NOW)
    assert shared.held(NOW), "that of the other account"
    shared.circuit("media").close_all(NOW)
    assert shared.held(NOW) == ()
    assert shared.due.claim(NOW, MINUTE, 5) == ("films",), "it was woken, and only it"


def test_a_pause_that_one_asks_for_holds_no_other(client: redis.Redis) -> None:
    both = accounts(client)
    both["media"].failed(LIMITED)
    with both["default"].place("web"):
        pass
    with pytest.raises(CircuitOpen), both["media"].place("films"):
        raise AssertionError("HostUp asked for a pause")


def test_places_and_counts_are_each_accounts_own(client: redis.Redis) -> None:
    both = accounts(client)
    with both["media"].place("a"), both["media"].place("b"), both["default"].place("c") as place:
        assert both["default"].quiet() is None
        place.made = 1
    mark = both["default"].quiet()
    with both["media"].place("a"):
        assert both["default"].quiet() == mark


def test_the_audits_of_accounts_are_kept_apart(shared: SharedState) -> None:
    shared.notes.audited(NOW, 5, 3, 2)
    shared.notes.audited(NOW, 7, 7, 0, "media")
    first, second = shared.notes.last_audit(), shared.notes.last_audit("media")
    assert first
    assert second
    assert (first.counted, second.counted) == (5, 7)
    assert shared.notes.last_audit("other") is None


def test_keys_of_another_type_are_put_right_for_each_account(client: redis.Redis) -> None:
    client.set("rotator:circuit:media", "forged")
    shared = shared_state(client, BOTH)
    assert shared.repairs.wrong_types() == {"rotator:circuit:media": "string"}
    shared.repairs.put_right(NOW, NOW + MINUTE, NOW + MINUTE)
    assert shared.repairs.wrong_types() == {}


def test_what_may_not_be_taken_now_waits_where_it_is(shared: SharedState) -> None:
    """More of one account is due than is looked through at a time, and of the other account one target behind it."""
    many = [f"films-{number:05d}" for number in range(2_500)]
    shared.due.schedule_missing([*many, "web"], NOW)
    shared.due.schedule("web", NOW + MINUTE / 2)
    now = NOW + MINUTE

    def passes(name: str) -> bool:
        return name == "web"

    assert shared.due.claim_next(now, MINUTE, "queue", passes) == "web"
    assert shared.due.claim_next(now, MINUTE, "queue", passes) is None
    assert shared.due.claim(now, MINUTE, 3, passes) == ()
    assert shared.due.due(now) == len(many), "the others are due still"
    assert shared.due.claim(now, MINUTE, 2) == tuple(many[:2])


def test_messages_go_first_also_where_not_all_may_be_taken(shared: SharedState) -> None:
    shared.due.schedule_missing(["web"], NOW)
    shared.client.rpush("queue", "a message")
    assert shared.due.claim_next(NOW, MINUTE, "queue", lambda _: True) is None


def test_watches_do_not_wait_for_what_is_due_of_a_full_account(shared: SharedState) -> None:
    shared.due.schedule_missing(["films"], NOW)
    shared.watches.schedule_missing({"films": NOW, "web": NOW})
    assert shared.watches.claim(NOW, MINUTE, 5, "queue") == ()
    assert shared.watches.claim(NOW, MINUTE, 5, "queue", lambda name: name == "web") == ("web",)
    shared.due.schedule("web", NOW)
    shared.watches.postpone("web", NOW)
    assert shared.watches.claim(NOW, MINUTE, 5, "queue", lambda name: name == "web") == ()
