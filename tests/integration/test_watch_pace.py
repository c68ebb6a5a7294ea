"""The watch is paced: a share of the threads, never before what is due, and told where it falls behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
import structlog

from tests.bench.parts import runtime_of
from tests.bench.seed import seed
from tests.bench.stage import Shape, Stage, names, set_up
from tests.records import MINUTE
from tests.sandbox import wait_until
from worker.adapters.redis.keys import DUE, WATCHES
from worker.cli.check_redis import look as look_at_redis
from worker.rotation.ports import Life, Probe
from worker.secret import Secret
from worker.service.assemble import Runtime
from worker.service.audit_task import audit_once, slack, watch_behind
from worker.service.look import watch_while_nothing_is_due
from worker.service.tick import tick
from worker.settings.settings import QUEUE
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.schedule import next_watch

TARGETS, THREADS = 12, 8
ALIVE = Probe(Life.ALIVE, 403, "SignatureDoesNotMatch", "tx")


@dataclass
class Storage:
    """An object storage that says that every key lives, when it is let to."""

    go: threading.Event
    asked: int = 0
    at_once: int = 0
    most: int = 0
    endpoint: str = "http://127.0.0.1:1"
    region: str = "eu-north-1"

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    def see_that_it_can_be_asked(self) -> None:
        return

    def lives(self, access_key: str) -> Probe:
        del access_key
        with self.lock:
            self.asked += 1
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.go.wait(60)
        with self.lock:
            self.at_once -= 1
        return ALIVE

    def works(self, access_key: str, secret_key: Secret) -> Probe:
        del secret_key
        return self.lives(access_key)


@dataclass
class Watch:
    """Targets that are well, all to be watched now, and nothing else to do."""

    runtime: Runtime
    storage: Storage
    sent: list[tuple[str, str]]

    def tick(self) -> list[tuple[str, str]]:
        self.sent.clear()
        tick(self.runtime, lambda task, *, args, **_: self.sent.append((task, args[0])))
        return list(self.sent)

    def watch(self, name: str) -> None:
        watch_while_nothing_is_due(self.runtime, name)

    def watched(self) -> set[str]:
        return set(self.runtime.shared.watches.sightings())


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with set_up(Shape(TARGETS, THREADS, every="400d", tick="1m")) as stage:
        seed(stage, keys=False)
        yield stage


@pytest.fixture
def watch(stage: Stage) -> Iterator[Watch]:
    with runtime_of(stage) as made:
        made.shared.client.flushdb()
        stage.hold()
        made.shared.client.zadd(WATCHES, dict.fromkeys(names(TARGETS), made.clock.now().timestamp() - 1))
        storage = Storage(threading.Event())
        storage.go.set()
        at = replace(made.services.at(DEFAULT_ACCOUNT), storage=storage)
        yield Watch(replace(made, services=replace(made.services, accounts={DEFAULT_ACCOUNT: at})), storage, [])
        storage.go.set()


@pytest.mark.parametrize(("workers", "messages"), [(0, 2), (1, 2), (2, 4)])
def test_a_tick_has_a_quarter_of_all_threads_watch(watch: Watch, workers: int, messages: int) -> None:
    for number in range(workers):
        watch.runtime.shared.heartbeats.beat(f"worker-{number}")
    assert [task for task, _ in watch.tick()] == ["rotator.watch"] * messages


def test_while_anything_is_due_nothing_is_watched(watch: Watch) -> None:
    watch.runtime.shared.client.zadd(DUE, {names(1)[0]: watch.runtime.clock.now().timestamp()})
    assert [task for task, _ in watch.tick()] == ["rotator.reconcile"]
    assert [task for task, _ in watch.tick()] == ["rotator.watch"] * 2


def test_while_a_message_waits_nothing_is_watched(watch: Watch) -> None:
    watch.runtime.shared.client.lpush(QUEUE, "a message")
    assert watch.tick() == []


def test_a_thread_that_watches_goes_on_with_the_others(watch: Watch) -> None:
    watch.watch(names(1)[0])
    assert watch.watched() == set(names(TARGETS))


@pytest.mark.parametrize("what", ["a target that is due", "a message"])
def test_it_stops_as_soon_as_there_is_something_else_to_do(watch: Watch, what: str) -> None:
    client, now = watch.runtime.shared.client, watch.runtime.clock.now()
    watch.storage.go.clear()
    thread = threading.Thread(target=watch.watch, args=names(1))
    thread.start()
    wait_until(lambda: watch.storage.asked == 1, "the first look")
    if what == "a message":
        client.lpush(QUEUE, what)
    else:
        client.zadd(DUE, {names(TARGETS)[-1]: now.timestamp()})
    watch.storage.go.set()
    thread.join(60)
    assert watch.watched() == {names(1)[0]}


def test_with_a_slow_storage_watches_do_not_take_more_than_their_share(watch: Watch) -> None:
    watch.storage.go.clear()
    threads = []
    for _ in range(THREADS // 2):  # as many ticks, in each of which none of the looks before has ended
        for _, name in watch.tick():
            threads.append(threading.Thread(target=watch.watch, args=(name,)))
            threads[-1].start()
        wait_until(lambda: watch.storage.at_once == 2, "the looks")
    assert len(threads) == THREADS
    before = watch.runtime.shared.client.zscore(WATCHES, names(TARGETS)[2])
    watch.storage.go.set()
    for thread in threads:
        thread.join(60)
    assert watch.storage.most == THREADS // 4
    assert before is not None
    assert float(before) <= (watch.runtime.clock.now() + timedelta(minutes=1)).timestamp(), "its turn comes in a tick"


def test_a_watch_that_falls_behind_is_told(watch: Watch) -> None:
    client, now = watch.runtime.shared.client, watch.runtime.clock.now()
    watch.runtime.shared.heartbeats.beat("worker")
    assert "watch" not in {verdict.check for verdict in look_at_redis(watch.runtime)}
    every = watch.runtime.settings.worker.watch_every
    late = (now - every - timedelta(hours=1)).timestamp()
    client.zadd(WATCHES, dict.fromkeys(names(3), late))
    (told,) = [verdict for verdict in look_at_redis(watch.runtime) if verdict.check == "watch"]
    assert (told.state, told.detail[:9]) == ("warning", "3 targets")
    with structlog.testing.capture_logs() as logged:
        audit_once(watch.runtime)
    assert [entry["targets"] for entry in logged if entry["event"] == "watch.behind"] == [3]


def test_each_target_falls_behind_by_its_own_watch_every(watch: Watch) -> None:
    runtime, often, seldom, usual = watch.runtime, *names(3)
    own = {often: timedelta(seconds=10), seldom: timedelta(days=1)}
    targets = {name: replace(each, watch_every=own.get(name)) for name, each in runtime.settings.targets.items()}
    watch.runtime = runtime = replace(runtime, settings=replace(runtime.settings, targets=targets))
    slow, now = slack(runtime), runtime.clock.now()
    every = {usual: runtime.settings.worker.watch_every} | own
    runtime.shared.client.delete(WATCHES)
    for name in (often, seldom, usual):
        for due, behind in ((now - every[name] - slow - MINUTE, 1), (now - every[name], 0)):
            runtime.shared.client.zadd(WATCHES, {name: due.timestamp()})
            assert watch_behind(runtime) == behind, name
    runtime.shared.client.zadd(WATCHES, {"of-a-target-that-is-gone": 1.0})
    assert watch_behind(runtime) == 0


def test_each_target_is_watched_again_after_its_own_watch_every(watch: Watch) -> None:
    runtime, name = watch.runtime, names(1)[0]
    targets = {**runtime.settings.targets}
    targets[name] = replace(targets[name], watch_every=timedelta(days=2))
    watch.runtime = runtime = replace(runtime, settings=replace(runtime.settings, targets=targets))
    client, now = runtime.shared.client, runtime.clock.now()
    watch.watch(name)
    planned = {each: client.zscore(WATCHES, each) for each in names(TARGETS)}
    assert planned[name] == pytest.approx(next_watch(timedelta(days=2), name, now).timestamp(), abs=0.01)
    usual = runtime.settings.worker.watch_every.total_seconds()
    others = [moment for each, moment in planned.items() if each != name and moment is not None]
    assert len({round(moment, 3) for moment in others}) == TARGETS - 1, "each has its own place"
    assert all(moment - now.timestamp() < usual + 60 for moment in others)
