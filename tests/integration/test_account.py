"""What all workers share about the one HostUp account: on a real Valkey, from several clients, and with Redis away."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from structlog.testing import capture_logs

from tests.doubles import MemoryClock, MemoryHostUp
from tests.records import MINUTE, NOW, SECOND
from worker.adapters.redis.account import Account, AccountLimits
from worker.adapters.redis.state import SharedState
from worker.errors import (
    CircuitOpen,
    HostUpCall,
    HostUpRateLimited,
    HostUpRefused,
    HostUpUncertain,
    QueueUnavailable,
    TryAgainLater,
)
from worker.rotation.ports import StorageStatus
from worker.targets.backoff import Backoff

LIMITS = AccountLimits(2, MINUTE, Backoff(SECOND, timedelta(hours=1)), Backoff(SECOND, SECOND))
NO_ANSWER = HostUpUncertain("no answer", HostUpCall("create_key"))


@pytest.fixture
def account(client: redis.Redis) -> Account:
    return Account(client, MemoryHostUp(), MemoryClock(), LIMITS)


def test_creates_run_a_few_at_a_time(client: redis.Redis) -> None:
    accounts = [Account(client, MemoryHostUp(), MemoryClock(), LIMITS) for _ in range(3)]
    with accounts[0].place("a"), accounts[1].place("b"), pytest.raises(TryAgainLater), accounts[2].place("c"):
        raise AssertionError("three places were given")
    with accounts[2].place("c"):
        pass


def test_the_place_of_a_worker_that_died_comes_back(client: redis.Redis) -> None:
    clock = MemoryClock()
    dead = Account(client, MemoryHostUp(), clock, LIMITS)
    held = [dead.place("a"), dead.place("b")]
    for place in held:
        place.__enter__()
    clock.time += MINUTE + SECOND
    with Account(client, MemoryHostUp(), clock, LIMITS).place("a"):
        pass


def test_no_create_runs_without_a_place(away: redis.Redis) -> None:
    with pytest.raises(QueueUnavailable), Account(away, MemoryHostUp(), MemoryClock(), LIMITS).place("a"):
        raise AssertionError("a place was given without Redis")


def test_the_circuit_opens_for_all_and_lets_one_through(client: redis.Redis, shared: SharedState) -> None:
    clock = MemoryClock()
    one, two = (Account(client, MemoryHostUp(), clock, LIMITS) for _ in range(2))
    for _ in range(3):
        assert one.enter("a") is False
        one.failed(NO_ANSWER)
    with pytest.raises(CircuitOpen) as refused:
        two.enter("b")
    clock.time = refused.value.until + SECOND
    assert two.enter("b") is True
    with pytest.raises(CircuitOpen):
        one.enter("a")
    shared.due.schedule("a", NOW + timedelta(days=1))
    two.succeeded(made=1)
    assert one.enter("a") is False
    assert shared.due.claim(clock.time, MINUTE, 10) == ("a",)


def test_a_failed_trial_opens_the_circuit_for_longer(account: Account, client: redis.Redis) -> None:
    del client
    lengths = []
    for _ in range(2):
        account.failed(NO_ANSWER)
    for _ in range(3):
        account.failed(NO_ANSWER)
        with pytest.raises(CircuitOpen) as refused:
            account.enter("a")
        lengths.append(refused.value.until - NOW)
    assert lengths == sorted(lengths)
    assert lengths[-1] > 2 * lengths[0]


def test_what_concerns_one_target_only_does_not_count(account: Account) -> None:
    for _ in range(10):
        account.failed(HostUpRefused("the label is refused", HostUpCall("create_key", 400)))
    assert account.enter("a") is False


def test_retry_after_is_obeyed_by_everybody(account: Account) -> None:
    account.failed(HostUpRateLimited("too many", HostUpCall("create_key", 429, retry_after=90.0)))
    with pytest.raises(CircuitOpen) as refused:
        account.enter("a")
    assert refused.value.until >= NOW + timedelta(seconds=90)


def test_the_count_is_kept_up_between_looks(client: redis.Redis) -> None:
    hostup, clock = MemoryHostUp(living={"A": "", "B": ""}), MemoryClock()
    account = Account(client, hostup, clock, LIMITS)
    assert _known_count(account) is None
    assert account.key_count() == 2
    with account.place("a") as place:
        assert place.key_count == 2
        place.made = 1
        hostup.living["C"] = ""
    hostup.living["D"] = "made by somebody else"
    assert _known_count(account) == 3
    assert account.key_count() == 4
    assert _known_count(account) == 4
    account.succeeded(made=-1)
    assert _known_count(account) == 3
    clock.time += 2 * MINUTE
    assert _known_count(account) is None


class Miscounting(MemoryHostUp):
    """Tells a number of keys that cannot be one."""

    def status(self) -> StorageStatus:
        return replace(super().status(), key_count=None, count_problem="The keyCount is negative.")


def test_a_count_that_cannot_be_one_is_told(away: redis.Redis) -> None:
    with capture_logs() as logs:
        assert Account(away, Miscounting(), MemoryClock(), LIMITS).key_count() is None
    told = [(each["event"], each["error"], each["request_id"]) for each in logs]
    assert told == [("count.unknown", "The keyCount is negative.", "request-s")]


def _known_count(account: Account) -> int | None:
    with account.place("a") as place:
        return place.key_count


def test_a_create_that_waits_for_a_place_uses_up_no_trial(client: redis.Redis) -> None:
    clock = MemoryClock()
    one, two = (Account(client, MemoryHostUp(), clock, LIMITS) for _ in range(2))
    with ExitStack() as places:
        for _ in range(LIMITS.creates):
            places.enter_context(one.place("a"))
        for _ in range(3):
            one.failed(NO_ANSWER)
        with pytest.raises(CircuitOpen) as refused, two.place("b"):
            raise AssertionError("the circuit is open")
        clock.time = refused.value.until + SECOND
        with pytest.raises(TryAgainLater), two.place("b"):
            raise AssertionError("no place is free")
    with two.place("b") as place:
        assert place.trial
        with pytest.raises(CircuitOpen), one.place("a"):
            raise AssertionError("one trial at a time")
        place.made = 1
    assert one.enter("a") is False, "what was made closes the circuit"
