"""``rotate --wait`` on a real Valkey: whether it notices that nobody is there to serve the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import redis

from tests.doubles import MemoryAccount, MemoryClock, MemoryHostUp, MemoryStorage, MemoryVault
from tests.records import MINUTE, NOW, current, empty, rotation, staged
from tests.unit.settings.configuring import TARGET, read
from worker.adapters.redis.index import IndexEntry
from worker.adapters.redis.locks import Hold
from worker.adapters.redis.state import SharedState, shared_state
from worker.adapters.redis.workers import SILENT_SECONDS
from worker.cli.check_redis import of_workers
from worker.cli.waiting import Outcome, Waiting
from worker.clock import ProcessClock
from worker.rotation.record import Phase, Record, Request
from worker.rotation.records import RecordStore
from worker.rotation.services import Policy, Services
from worker.sandbox.servers import ValkeyServer
from worker.service.assemble import Runtime

SECOND = timedelta(seconds=1)
PATIENCE = timedelta(minutes=5)


@dataclass
class ActingClock(MemoryClock):
    """While somebody waits, the world goes on: at each wait every worker that lives does what it does."""

    acts: list[Callable[[datetime], None]] = field(default_factory=list)
    stopping: bool = False

    def wait(self, seconds: float) -> bool:
        super().wait(seconds)
        for act in self.acts:
            act(self.time)
        return False

    def stop(self) -> None:
        self.stopping = True


@dataclass
class Scene:
    """One request that is waited for, and workers that show themselves as long as a test wants."""

    runtime: Runtime
    clock: ActingClock
    shared: SharedState
    record: Record

    def beat(self, until: timedelta, *, skew: timedelta = timedelta(0), takes: bool = True) -> None:
        """A worker beats every five seconds, by a clock that is wrong by ``skew``, and takes up what is due."""
        last = [NOW - 5 * SECOND]

        def act(now: datetime) -> None:
            if now - last[0] >= 5 * SECOND and now < NOW + until:
                last[0] = now
                self.shared.heartbeats.beat("one", now + skew)
                if takes:
                    self.shared.due.claim(now, MINUTE, 5)

        self.clock.acts.append(act)
        act(NOW)

    def wait(self) -> tuple[Outcome, float]:
        """How the waiting ends, and after how many seconds."""
        request = Request(id="request-9", reason="", at=NOW)
        outcome = Waiting(self.runtime, self.runtime.settings.targets["media"], request, self.record).until_served(
            PATIENCE
        )
        return outcome, self.clock.monotonic()


@pytest.fixture(params=[None, Phase.STAGED, Phase.VERIFIED, Phase.CREATING], ids=str)
def phase(request: pytest.FixtureRequest) -> Phase | None:
    found: Phase | None = request.param
    return found


@pytest.fixture
def scene(tmp_path: Path, client: redis.Redis, server: ValkeyServer, phase: Phase | None) -> Scene:
    vault, hostup, clock = MemoryVault(), MemoryHostUp(), ActingClock()
    store = RecordStore(vault, "hostup-rotator/state", clock)
    settings = read(tmp_path, TARGET, env={"REDIS_URL": server.url.reveal()})
    shared = shared_state(client)
    services = Services(
        hostup, vault, MemoryStorage(hostup), store, MemoryAccount(hostup), clock,
        Policy("secret", MINUTE, MINUTE, MINUTE, MINUTE, SECOND),
    )  # fmt: skip
    process_clock: ProcessClock = clock
    runtime = Runtime(settings, services, shared, None, process_clock, "here")  # type: ignore[arg-type]  # no Vault server
    key = staged() if phase in (Phase.STAGED, Phase.VERIFIED) else None
    under_way = rotation(phase, key) if phase else None
    known = Record(target="media", path="apps/media", current=current(), rotation=under_way) if phase else empty()
    record = store.change(store.load("media", "apps/media"), lambda _: known).record
    shared.index.finish_look(IndexEntry("media", {"target": "media"}, ()), NOW, Hold("media", mine=True))
    return Scene(runtime, clock, shared, record)


def test_without_any_worker_it_ends_within_seconds(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    outcome, took = scene.wait()
    assert outcome.exit_code == 75
    assert took < 20
    assert "No worker has shown up" in outcome.gave_up
    assert capsys.readouterr().err.count("No worker is there") == 1


def test_a_worker_that_stops_meanwhile_is_noticed(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.beat(until=20 * SECOND)
    scene.clock.acts.append(lambda now: scene.shared.heartbeats.leave("one") if now > NOW + 20 * SECOND else None)
    outcome, took = scene.wait()
    assert outcome.exit_code == 75
    assert took < 20 + 20
    assert "No worker is there any more" in outcome.gave_up
    assert "The last worker has stopped" in capsys.readouterr().err


def test_a_worker_that_is_killed_meanwhile_is_noticed(scene: Scene) -> None:
    scene.beat(until=20 * SECOND)
    outcome, took = scene.wait()
    assert outcome.exit_code == 75
    assert took < 20 + SILENT_SECONDS + 10
    assert "No worker is there any more" in outcome.gave_up


def test_a_worker_that_was_killed_just_before_is_no_worker(scene: Scene) -> None:
    scene.shared.heartbeats.beat("one", NOW - 5 * SECOND)
    outcome, took = scene.wait()
    assert outcome.exit_code == 75
    assert took < SILENT_SECONDS + 10


@pytest.mark.parametrize("skew", [timedelta(0), timedelta(hours=-2), timedelta(hours=2)])
def test_a_worker_that_lives_is_waited_for_whatever_its_clock_says(scene: Scene, skew: timedelta) -> None:
    scene.beat(until=2 * PATIENCE, skew=skew)
    outcome, took = scene.wait()
    assert took >= PATIENCE.total_seconds()
    assert "There is no outcome yet" in outcome.gave_up


def test_a_worker_that_comes_later_is_waited_for(scene: Scene) -> None:
    began = NOW + 8 * SECOND
    scene.clock.acts.append(lambda now: scene.shared.heartbeats.beat("two", now) if now > began else None)
    _, took = scene.wait()
    assert took >= PATIENCE.total_seconds()


def test_workers_that_leave_the_target_alone_are_named(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.beat(until=2 * PATIENCE, takes=False)
    scene.wait()
    assert capsys.readouterr().err.count("none takes the target up") == 1


def test_workers_that_take_it_up_are_not(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.beat(until=2 * PATIENCE)
    scene.wait()
    assert "none takes the target up" not in capsys.readouterr().err


@pytest.mark.parametrize("phase", [None], indirect=True)
def test_check_says_since_when_a_killed_worker_was_not_seen(scene: Scene) -> None:
    heartbeats = scene.shared.heartbeats
    heartbeats.beat("killed", NOW)
    heartbeats.beat("there", NOW + 38 * SECOND)
    both = of_workers(heartbeats.last_seen(), NOW + 40 * SECOND)
    assert both.state == "ok"
    assert "1 there: there; killed was last seen" in both.detail
    assert "(40 s ago)" in both.detail
    none = of_workers(heartbeats.last_seen(), NOW + timedelta(hours=3))
    assert none.state == "warning"
    assert "none is there" in none.detail
    assert "there was last seen" in none.detail
