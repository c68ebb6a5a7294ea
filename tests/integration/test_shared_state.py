"""What workers share in Redis: on a real Valkey, from several clients, and with Redis away."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
import redis

from tests.integration.scene import full_summary, scheduled, shows
from tests.records import MINUTE, NOW
from tests.sandbox import wait_until
from worker.adapters.redis.client import connect
from worker.adapters.redis.index import IDS_OF_A_TARGET, IndexEntry
from worker.adapters.redis.locks import Hold
from worker.adapters.redis.state import SharedState, shared_state
from worker.errors import QueueUnavailable
from worker.rotation.ports import NOTHING_SEEN, Seen
from worker.sandbox.servers import start_valkey

SUMMARY = full_summary("media")
ENTRY = IndexEntry("media", SUMMARY, ("request-1",))


def test_what_is_due_is_claimed_once_and_comes_back_by_itself(shared: SharedState) -> None:
    shared.due.schedule_missing(["a", "b", "c"], NOW)
    shared.due.schedule("c", NOW + MINUTE)
    assert sorted(shared.due.claim(NOW, MINUTE, 10)) == ["a", "b"]
    assert shared.due.claim(NOW, MINUTE, 10) == ()
    assert sorted(shared.due.claim(NOW + MINUTE, MINUTE, 10)) == ["a", "b", "c"]


def test_no_more_is_claimed_than_there_is_room_for(shared: SharedState) -> None:
    shared.due.schedule_missing(["a", "b", "c"], NOW)
    assert len(shared.due.claim(NOW, MINUTE, 2)) == 2
    assert len(shared.due.claim(NOW, MINUTE, 2)) == 1


def test_a_first_look_never_puts_off_what_is_scheduled(shared: SharedState) -> None:
    shared.due.schedule("a", NOW)
    shared.due.schedule_missing(["a"], NOW + MINUTE)
    assert shared.due.claim(NOW, MINUTE, 10) == ("a",)


def test_a_later_look_is_put_forward_and_an_earlier_one_stays(shared: SharedState) -> None:
    shared.due.schedule("early", NOW)
    shared.due.schedule("late", NOW + timedelta(days=30))
    shared.due.look_sooner({"early": NOW + MINUTE, "late": NOW + MINUTE})
    assert shared.due.claim(NOW, MINUTE, 10) == ("early",)
    assert "late" in shared.due.claim(NOW + MINUTE, MINUTE, 10)


def test_only_one_looks_at_a_target(shared: SharedState) -> None:
    first, second = shared.locks.hold("media", MINUTE), shared.locks.hold("media", MINUTE)
    assert (first.mine, second.mine) == (True, False)
    shared.locks.release(second)
    assert not shared.locks.hold("media", MINUTE).mine
    shared.locks.release(first)
    third = shared.locks.hold("media", MINUTE)
    assert third.mine
    shared.index.finish_look(ENTRY, NOW + MINUTE, first)
    assert not shared.locks.hold("media", MINUTE).mine, "a hold that is over releases nothing"
    shared.index.finish_look(ENTRY, NOW + MINUTE, third)
    assert shared.locks.hold("media", MINUTE).mine


def test_a_target_woken_during_a_look_is_due_at_once(shared: SharedState) -> None:
    hold = shared.locks.hold("media", MINUTE)
    shared.due.wake("media")
    shared.index.finish_look(ENTRY, NOW + MINUTE, hold)
    assert shared.due.claim(NOW, MINUTE, 10) == ("media",)


def test_a_target_that_was_woken_goes_before_all_that_is_due(shared: SharedState) -> None:
    shared.due.schedule_missing(["a", "b"], NOW - MINUTE)
    shared.due.schedule("media", NOW + MINUTE)
    shared.due.wake("media")
    assert shared.due.claim(NOW, MINUTE, 1) == ("media",)


def test_a_target_woken_before_a_look_is_not_due_after_it(shared: SharedState) -> None:
    shared.due.wake("media")
    shared.index.finish_look(ENTRY, NOW + MINUTE, shared.locks.hold("media", MINUTE))
    assert shared.due.claim(NOW, MINUTE, 10) == ()


def test_a_wake_up_is_not_lost_to_a_look_that_was_overtaken(shared: SharedState) -> None:
    frozen = shared.locks.hold("media", timedelta(milliseconds=1))
    wait_until(lambda: shared.locks.hold("media", timedelta(milliseconds=1)).mine, "the lock's end")
    shared.due.wake("media")
    wait_until(lambda: (hold := shared.locks.hold("media", MINUTE)).mine and _finish(shared, hold), "the next look")
    assert shared.due.claim(NOW, MINUTE, 10) == ()
    _finish(shared, frozen)  # it began before the wake-up, so what it found may be old
    assert shared.due.claim(NOW, MINUTE, 10) == ("media",)


def _finish(shared: SharedState, hold: Hold) -> bool:
    shared.index.finish_look(ENTRY, NOW + MINUTE, hold)
    return True


def test_of_each_target_the_newest_ids_are_kept(shared: SharedState) -> None:
    every = [f"request-{number}" for number in range(3 * IDS_OF_A_TARGET)]
    shared.index.refresh([IndexEntry("other", {}, ("its own",))])
    for number in range(0, len(every), 5):
        shared.index.refresh([IndexEntry("media", {"target": "media"}, every[number : number + 5])])
    known = [each for each in every if shared.index.target_of(each) == "media"]
    assert known == every[-IDS_OF_A_TARGET:]
    shared.index.refresh([IndexEntry("media", {}, every)])
    assert [each for each in every if shared.index.target_of(each) == "media"] == known
    assert shared.index.target_of("its own") == "other"


def test_the_version_that_was_seen_of_a_record_is_known(shared: SharedState) -> None:
    assert shared.index.seen_version("media") == 0
    shared.index.finish_look(
        ENTRY, NOW, shared.locks.hold("media", MINUTE), Seen(4_000_000_000, 7_000_000_000, "0123456789abcdef")
    )
    assert shared.index.seen_version("media") == 4_000_000_000
    assert as_the_next_hold_tells(shared) == Seen(4_000_000_000, 7_000_000_000, "0123456789abcdef")
    shared.index.finish_look(ENTRY, NOW, shared.locks.hold("other", MINUTE), Seen(5))
    assert as_the_next_hold_tells(shared) == Seen(5)
    shared.index.forget_version("media")
    assert shared.index.seen_version("media") == 0
    for odd in ("-1", "4.0", "x", "9" * 99, "4 7 abc more", " 4", "x 7 abc"):
        shared.client.hset("rotator:versions", "media", odd)
        assert shared.index.seen_version("media") == 0
        assert as_the_next_hold_tells(shared) == NOTHING_SEEN


def as_the_next_hold_tells(shared: SharedState) -> Seen:
    hold = shared.locks.hold("media", MINUTE)
    shared.locks.release(hold)
    return hold.seen


def test_an_id_that_no_server_would_make_is_not_indexed(shared: SharedState) -> None:
    odd = ("x" * 10_000, "caf\u00e9", "\ud800")
    shared.index.refresh([replace(ENTRY, ids=(*odd, "request-2"))])
    assert shared.index.target_of("request-2") == "media"
    assert shared.index.refresh([replace(ENTRY, ids=(*odd, "request-2"))]) == 0
    shared.index.finish_look(replace(ENTRY, ids=(*odd, "request-3")), NOW, Hold("media", mine=True))
    assert shared.index.target_of("request-3") == "media"
    assert shared.index.target_of(odd[0]) is None


def test_the_index_finds_targets_by_id(shared: SharedState) -> None:
    shared.index.finish_look(ENTRY, NOW + MINUTE, Hold("media", mine=True))
    assert shared.index.target_of("request-1") == "media"
    assert shared.index.target_of("request-2") is None
    assert shared.index.summary("media") == SUMMARY
    shared.index.forget(["media"])
    shared.due.forget(["media"])
    assert shared.index.summaries() == {}
    assert scheduled(shared) == frozenset()


def test_workers_are_there_until_they_leave_or_fall_silent(shared: SharedState) -> None:
    shows(shared.client, "one", MINUTE * 1.2)
    shows(shared.client, "two", MINUTE / 2)
    assert shared.heartbeats.workers() == ("two",)
    shared.heartbeats.beat("three")
    assert shared.heartbeats.workers() == ("three", "two")
    assert set(shared.heartbeats.ages()) == {"two", "three"}, "what is gone is dropped"
    shared.heartbeats.leave("two")
    assert shared.heartbeats.workers() == ("three",)


def test_without_redis_every_call_says_so_and_the_lock_is_no_obstacle(away: redis.Redis) -> None:
    shared = shared_state(away)
    with pytest.raises(QueueUnavailable):
        shared.due.claim(NOW, MINUTE, 1)
    hold = shared.locks.hold("media", MINUTE)
    assert hold.mine
    shared.locks.release(hold)


def test_redis_restarted_in_between_is_used_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = start_valkey(tmp_path_factory.mktemp("valkey"))
    with connect(server.url) as client:
        shared = shared_state(client)
        shared.due.schedule("a", NOW)
        server = server.restart()
        assert shared.due.claim(NOW, MINUTE, 1) == ("a",)
    server.stop()


def test_many_threads_claim_without_doubles(shared: SharedState) -> None:
    shared.due.schedule_missing([f"t{n}" for n in range(200)], NOW)
    claimed: list[str] = []

    def claim() -> None:
        while found := shared.due.claim(NOW, MINUTE, 7):
            claimed.extend(found)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted({f"t{n}" for n in range(200)})
