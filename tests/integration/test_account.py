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


def test_who_gets_no_place_is_told_why(client: redis.Redis) -> None:
    accounts = [Account(client, MemoryHostUp(), MemoryClock(), LIMITS) for _ in range(3)]
    with (
        accounts[0].place("a"),
        accounts[1].place("b"),
        pytest.raises(TryAgainLater, match=r"^2 creates are under way for this account") as caught,
        accounts[2].place("c"),
    ):
        raise AssertionError("three places were given")
    assert "parallel_creates under [hostup] sets how many may be" in caught.value.hint


def test_the_place_of_a_worker_that_died_comes_back(client: redis.Redis) -> None:
    clock = MemoryClock()
    dead = Account(client, MemoryHostUp(), clock, LIMITS)
    held = [dead.place("a"), dead.place("b")]
    for place in held:
        place.__enter__()
    clock.time += MINUTE + SECOND
    with Account(client, MemoryHostUp(), clock, LIMITS).place("a"):
        pass


def test_it_is_quiet_while_no_create_is_begun(client: redis.Redis, away: redis.Redis) -> None:
    mine, others = (Account(client, MemoryHostUp(), MemoryClock(), LIMITS) for _ in range(2))
    mark = mine.quiet()
    assert mark is not None
    mine.look()
    mine.enter("a")
    assert others.quiet() == mark, "deletes and looks are no creates"
    with others.place("a"):
        assert mine.quiet() is None
    assert mine.quiet() not in (None, mark), "one was made in between"
    assert Account(away, MemoryHostUp(), MemoryClock(), LIMITS).quiet() is None


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


def _limited(operation: str, retry_after: float | None = None) -> HostUpRateLimited:
    return HostUpRateLimited("too many", HostUpCall(operation, 429, retry_after=retry_after), request_id="request-429")


def _turned_away(account: Account) -> tuple[timedelta | None, timedelta | None, bool]:
    """How long creates and deletes have to wait, and whether the status may be asked."""
    waits: list[timedelta | None] = []
    for attempt in (lambda: account.place("a").__enter__(), lambda: account.enter("a")):
        try:
            attempt()
        except CircuitOpen as refused:
            waits.append(refused.until - NOW)
        else:
            waits.append(None)
    return waits[0], waits[1], account.key_count() is not None


@pytest.mark.parametrize(
    ("operation", "waits"),
    [
        ("create_key", (True, False, True)),
        ("delete_key", (False, True, True)),
        ("status", (False, False, False)),
    ],
)
def test_one_429_delays_its_own_kind_of_call(
    account: Account, shared: SharedState, operation: str, waits: tuple[bool, bool, bool]
) -> None:
    account.failed(_limited(operation, 90.0))
    create, delete, status = _turned_away(account)
    assert (create is not None, delete is not None, status) == waits
    assert all(wait >= timedelta(seconds=90) for wait in (create, delete) if wait)
    (held,) = shared.held(NOW)
    assert (held.operation, held.since, held.why, held.request_id) == (operation, NOW, "too many", "request-429")


def test_a_pause_ends_by_its_time(client: redis.Redis, shared: SharedState) -> None:
    clock = MemoryClock()
    account = Account(client, MemoryHostUp(), clock, LIMITS)
    account.failed(_limited("create_key", 90.0))
    clock.time += timedelta(seconds=91)
    assert shared.held(clock.time) == ()
    with account.place("a"):
        pass


def test_a_429_that_names_no_time_is_waited_for_as_well(account: Account) -> None:
    account.failed(_limited("create_key"))
    assert _turned_away(account)[0]


def test_an_absurd_wait_is_cut_to_a_quarter_of_an_hour_and_the_log_says_so(account: Account) -> None:
    with capture_logs() as logs:
        account.failed(_limited("create_key", 86400.0))
    create, delete, status = _turned_away(account)
    assert create == timedelta(minutes=15)
    assert (delete, status) == (None, True)
    assert [(line["event"], line["asked_for_s"], line["capped_at_s"]) for line in logs] == [
        ("calls.paused", 86400, 900)
    ]


def test_repeated_429_open_the_circuit_for_all(account: Account) -> None:
    for _ in range(3):
        account.failed(_limited("create_key", 90.0))
    with pytest.raises(CircuitOpen):
        account.enter("a")


@pytest.mark.parametrize("status", [401, 403])
def test_what_the_api_says_of_all_stops_all_at_once(account: Account, shared: SharedState, status: int) -> None:
    account.failed(HostUpRefused("who are you", HostUpCall("delete_key", status)))
    create, delete, _ = _turned_away(account)
    assert create
    assert delete
    (held,) = shared.held(NOW)
    assert (held.operation, held.why, held.failures) == ("every call", "who are you", 1)


def test_a_success_of_another_kind_does_not_end_a_pause(account: Account) -> None:
    account.failed(_limited("create_key", 90.0))
    account.succeeded(made=-1)
    assert _turned_away(account)[0]


def test_a_paused_create_uses_up_no_place_and_no_trial(client: redis.Redis) -> None:
    clock = MemoryClock()
    account = Account(client, MemoryHostUp(), clock, LIMITS)
    account.failed(_limited("create_key", 600.0))
    for _ in range(2):
        account.failed(NO_ANSWER)
    clock.time += 2 * MINUTE
    with pytest.raises(CircuitOpen), account.place("a"):
        raise AssertionError("creates are paused")
    assert account.enter("a") is True, "the delete is the trial"


def test_a_person_may_have_nothing_held_back(account: Account, shared: SharedState) -> None:
    for _ in range(3):
        account.failed(_limited("create_key", 90.0))
    shared.due.schedule("a", NOW + timedelta(days=1))
    with pytest.raises(CircuitOpen):
        account.enter("a")
    shared.circuit().close_all(NOW)
    assert shared.held(NOW) == ()
    assert _turned_away(account) == (None, None, True)
    assert shared.due.claim(NOW, MINUTE, 10) == ("a",), "what was turned away is woken"


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
