"""How due targets come to threads: by messages, and from one look to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from tests.bench.parts import runtime_of
from tests.bench.seed import seed
from tests.bench.stage import Shape, Stage, names, set_up
from worker.clock import SystemClock
from worker.service.assemble import Runtime
from worker.service.look import look_while_due
from worker.service.tick import tick
from worker.settings.settings import QUEUE

TARGETS, THREADS = 6, 2


class SlowClock(SystemClock):
    """On which every look takes two thirds of a tick."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0

    def monotonic(self) -> float:
        self._seconds += 40
        return self._seconds


@dataclass(frozen=True)
class Feed:
    """Targets that have nothing to do but to be looked at."""

    stage: Stage
    runtime: Runtime

    @property
    def first(self) -> str:
        return names(1)[0]

    def look(self) -> None:
        look_while_due(self.runtime, self.first)

    def looked_at(self) -> set[str]:
        return set(self.runtime.shared.index.summaries())


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with set_up(Shape(TARGETS, THREADS, every="400d", tick="1m")) as stage:
        seed(stage, keys=False)
        yield stage


@pytest.fixture
def feed(stage: Stage) -> Iterator[Feed]:
    with runtime_of(stage) as runtime:
        runtime.shared.client.flushdb()
        stage.hold()
        stage.let_go(names(stage.shape.targets))
        yield Feed(stage, runtime)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_tick_sends_as_many_messages_as_there_are_threads(feed: Feed, workers: int) -> None:
    sent = list[str]()
    for number in range(workers):
        feed.runtime.shared.heartbeats.beat(f"worker-{number}")
    tick(feed.runtime, lambda task, **_: sent.append(task))
    assert sent == ["rotator.reconcile"] * THREADS * max(1, workers)


def test_a_tick_counts_the_messages_that_wait(feed: Feed) -> None:
    feed.runtime.shared.client.lpush(QUEUE, "a message")
    sent = list[str]()
    tick(feed.runtime, lambda task, **_: sent.append(task))
    assert sent == ["rotator.reconcile"] * (THREADS - 1)


def test_a_thread_goes_on_with_whatever_is_due(feed: Feed) -> None:
    feed.look()
    assert feed.looked_at() == set(names(TARGETS))
    assert feed.runtime.shared.due.claim(feed.runtime.clock.now(), feed.runtime.settings.worker.lease, TARGETS) == ()


def test_a_message_that_waits_goes_first(feed: Feed) -> None:
    feed.runtime.shared.client.lpush(QUEUE, "a message")
    feed.look()
    assert feed.looked_at() == {feed.first}


def test_a_worker_that_is_told_to_stop_begins_nothing_more(feed: Feed) -> None:
    feed.runtime.clock.stop()
    feed.look()
    assert feed.looked_at() == {feed.first}


def test_a_thread_gives_messages_their_turn_after_a_tick(feed: Feed) -> None:
    slow = replace(feed.runtime, clock=SlowClock())
    look_while_due(slow, feed.first)
    assert len(feed.looked_at()) == 2


def test_a_look_that_fails_ends_the_turn(feed: Feed) -> None:
    assert feed.stage.sandbox.vault is not None
    feed.stage.sandbox.vault.seal()
    try:
        feed.look()
    finally:
        feed.stage.sandbox.vault.unseal()
    due, clock = feed.runtime.shared.due, feed.runtime.clock
    assert set(due.claim(clock.now(), feed.runtime.settings.worker.lease, TARGETS)) == set(names(TARGETS)[1:])
