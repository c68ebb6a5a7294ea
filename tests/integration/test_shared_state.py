"""What workers share in Redis: on a real Valkey, from several clients, and with Redis away."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
import redis

from tests.doubles import MemoryClock, MemoryHostUp
from tests.records import MINUTE, NOW, SECOND
from worker.adapters.redis.account import Account, AccountLimits
from worker.adapters.redis.queue import Hold, IndexEntry, Queue, connect
from worker.errors import (
    CircuitOpen,
    HostUpCall,
    HostUpRateLimited,
    HostUpRefused,
    HostUpUncertain,
    QueueUnavailable,
    TryAgainLater,
)
from worker.sandbox.children import free_port
from worker.sandbox.servers import ValkeyServer, start_valkey
from worker.secret import Secret
from worker.targets.backoff import Backoff

LIMITS = AccountLimits(2, MINUTE, Backoff(SECOND, timedelta(hours=1)), Backoff(SECOND, SECOND))
NO_ANSWER = HostUpUncertain("no answer", HostUpCall("create_key"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    running = start_valkey(tmp_path_factory.mktemp("valkey"))
    yield running
    running.stop()


@pytest.fixture
def client(server: ValkeyServer) -> Iterator[redis.Redis]:
    with connect(server.url) as made:
        made.flushall()
        yield made


@pytest.fixture
def queue(client: redis.Redis) -> Queue:
    return Queue(client)


@pytest.fixture
def account(client: redis.Redis) -> Account:
    return Account(client, MemoryHostUp(), MemoryClock(), LIMITS)


@pytest.fixture
def away() -> Iterator[redis.Redis]:
    with connect(Secret(f"redis://127.0.0.1:{free_port()}/0")) as made:
        yield made


def _entry(when: object = NOW + MINUTE) -> IndexEntry:
    return IndexEntry("media", {"target": "media"}, frozenset({"request-1"}), when)  # type: ignore[arg-type]


def test_what_is_due_is_claimed_once_and_comes_back_by_itself(queue: Queue) -> None:
    queue.schedule_missing(["a", "b", "c"], NOW)
    queue.schedule("c", NOW + MINUTE)
    assert sorted(queue.claim(NOW, MINUTE, 10)) == ["a", "b"]
    assert queue.claim(NOW, MINUTE, 10) == ()
    assert sorted(queue.claim(NOW + MINUTE, MINUTE, 10)) == ["a", "b", "c"]


def test_no_more_is_claimed_than_there_is_room_for(queue: Queue) -> None:
    queue.schedule_missing(["a", "b", "c"], NOW)
    assert len(queue.claim(NOW, MINUTE, 2)) == 2
    assert len(queue.claim(NOW, MINUTE, 2)) == 1


def test_a_first_look_never_puts_off_what_is_scheduled(queue: Queue) -> None:
    queue.schedule("a", NOW)
    queue.schedule_missing(["a"], NOW + MINUTE)
    assert queue.claim(NOW, MINUTE, 10) == ("a",)


def test_a_later_look_is_put_forward_and_an_earlier_one_stays(queue: Queue) -> None:
    queue.schedule("early", NOW)
    queue.schedule("late", NOW + timedelta(days=30))
    queue.look_sooner({"early": NOW + MINUTE, "late": NOW + MINUTE})
    assert queue.claim(NOW, MINUTE, 10) == ("early",)
    assert "late" in queue.claim(NOW + MINUTE, MINUTE, 10)


def test_only_one_looks_at_a_target(queue: Queue) -> None:
    first, second = queue.hold("media", MINUTE), queue.hold("media", MINUTE)
    assert (first.mine, second.mine) == (True, False)
    queue.release(second)
    assert not queue.hold("media", MINUTE).mine
    queue.release(first)
    third = queue.hold("media", MINUTE)
    assert third.mine
    queue.index(_entry(), first)
    assert not queue.hold("media", MINUTE).mine, "a hold that is over releases nothing"
    queue.index(_entry(), third)
    assert queue.hold("media", MINUTE).mine


def test_a_target_woken_during_a_look_is_due_at_once(queue: Queue) -> None:
    hold = queue.hold("media", MINUTE)
    queue.wake("media")
    queue.index(_entry(), hold)
    assert queue.claim(NOW, MINUTE, 10) == ("media",)


def test_a_target_that_was_woken_goes_before_all_that_is_due(queue: Queue) -> None:
    queue.schedule_missing(["a", "b"], NOW - MINUTE)
    queue.schedule("media", NOW + MINUTE)
    queue.wake("media")
    assert queue.claim(NOW, MINUTE, 1) == ("media",)


def test_a_target_woken_before_a_look_is_not_due_after_it(queue: Queue) -> None:
    queue.wake("media")
    queue.index(_entry(), queue.hold("media", MINUTE))
    assert queue.claim(NOW, MINUTE, 10) == ()


def test_the_index_finds_targets_by_id(queue: Queue) -> None:
    queue.index(_entry(), Hold("media", mine=True))
    assert queue.target_of("request-1") == "media"
    assert queue.target_of("request-2") is None
    assert queue.summary("media") == {"target": "media"}
    queue.forget(["media"])
    assert queue.summaries() == {}
    assert queue.scheduled() == frozenset()


def test_workers_are_heard_of_until_they_leave_or_fall_silent(queue: Queue) -> None:
    queue.beat("one", NOW)
    queue.beat("two", NOW + MINUTE / 2)
    assert queue.workers(NOW + MINUTE / 2) == ("one", "two")
    assert queue.workers(NOW + MINUTE * 1.2) == ("two",)
    queue.leave("two")
    assert queue.workers(NOW + MINUTE * 1.2) == ()


def test_without_redis_every_call_says_so_and_the_lock_is_no_obstacle(away: redis.Redis) -> None:
    queue = Queue(away)
    with pytest.raises(QueueUnavailable):
        queue.claim(NOW, MINUTE, 1)
    hold = queue.hold("media", MINUTE)
    assert hold.mine
    queue.release(hold)


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


def test_the_circuit_opens_for_all_and_lets_one_through(client: redis.Redis, queue: Queue) -> None:
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
    queue.schedule("a", NOW + timedelta(days=1))
    two.succeeded(made=1)
    assert one.enter("a") is False
    assert queue.claim(clock.time, MINUTE, 10) == ("a",)


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


def test_redis_restarted_in_between_is_used_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    with connect(server.url) as client:
        queue = Queue(client)
        queue.schedule("a", NOW)
        server = server.restart()
        assert queue.claim(NOW, MINUTE, 1) == ("a",)
    server.stop()


def test_many_threads_claim_without_doubles(queue: Queue) -> None:
    queue.schedule_missing([f"t{n}" for n in range(200)], NOW)
    claimed: list[str] = []

    def claim() -> None:
        while found := queue.claim(NOW, MINUTE, 7):
            claimed.extend(found)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted({f"t{n}" for n in range(200)})
