"""Before the first key is made, one worker of several notes how many keys are foreign: on a real Valkey."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, cast

import pytest
import redis

from tests.doubles import Gate, MemoryHostUp, MemoryVault, one_account
from tests.integration.test_redis_growth import STATE, StoppableClock
from tests.records import SECOND, current
from worker.adapters.redis.keys import BASELINE
from worker.adapters.redis.state import shared_state
from worker.adapters.redis.turn import Turn
from worker.adapters.vault.kv import VaultStore
from worker.errors import VaultRateLimited
from worker.rotation.ports import StorageStatus
from worker.rotation.record import Record, encode
from worker.rotation.records import RecordStore
from worker.rotation.services import Services
from worker.service.assemble import Runtime, policy
from worker.service.look import look_while_due
from worker.service.own_audit import AuditDiary
from worker.service.standing import RedisTrouble
from worker.settings.settings import load

T = TypeVar("T")

TARGETS = tuple(f"t{number:02}" for number in range(20))
LEASE = timedelta(minutes=1)
TICK = 5 * SECOND


@dataclass
class Counted(Gate):
    """Counts calls; ``quota`` is how many reads of records are served until Vault turns them away."""

    calls: Counter[str] = field(default_factory=Counter)
    quota: int | None = None

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        del lost
        if self.quota is not None and name.startswith(f"vault read {STATE}/t"):
            if self.quota <= 0:
                raise VaultRateLimited("rate limit quota", operation="read", path=name, status=429)
            self.quota -= 1
        self.calls[name] += 1
        return effect()


class Untold(MemoryHostUp):
    """A HostUp whose status has no count."""

    def status(self) -> StorageStatus:
        return replace(super().status(), key_count=None)


@dataclass
class World:
    """One account and one Vault; workers of it as many as a test wants."""

    folder: Path
    client: redis.Redis
    clock: StoppableClock = field(default_factory=StoppableClock)
    gate: Counted = field(default_factory=Counted)
    hostup: MemoryHostUp = field(default_factory=MemoryHostUp)

    def __post_init__(self) -> None:
        self.vault = MemoryVault(self.gate)
        self.hostup.gate = self.gate
        self.hostup.living["BY-HAND"] = "before the rotator came"
        lines = ["[worker]", 'tick = "5s"', 'lease = "1m"']
        lines += [f'[[target]]\nname = "{n}"\npath = "apps/{n}"\nevery = "30d"\ngrace = "24h"' for n in TARGETS]
        (self.folder / "rotator.toml").write_text("\n".join(lines), "utf-8")

    def worker(self) -> Runtime:
        variables = {"HOSTUP_API_KEY": "k", "VAULT_ADDR": "https://vault.example", "VAULT_TOKEN": "t"}
        settings = load(self.folder / "rotator.toml", {**variables, "REDIS_URL": "redis://127.0.0.1:1/0"})
        store = RecordStore(self.vault, STATE, self.clock)
        services = Services(one_account(self.hostup), self.vault, store, self.clock, policy(settings))
        vault, trouble = cast("VaultStore", self.vault), RedisTrouble(self.clock)
        audits = AuditDiary(self.clock, settings.worker.audit_every)
        return Runtime(settings, services, shared_state(self.client), vault, self.clock, "worker", trouble, audits)

    def note(self) -> object:
        return (self.vault.latest(f"{STATE}/_account") or {}).get("foreign")

    def counts(self) -> int:
        """How often HostUp was asked for the note's sake; each create asks once, too."""
        return self.gate.calls["hostup status"] - len(self.hostup.made)

    def record_reads(self) -> int:
        return sum(times for name, times in self.gate.calls.items() if name.startswith(f"vault read {STATE}/t"))

    def has_lived(self, *names: str) -> None:
        """These have a key that is not due."""
        for name in names:
            key = replace(current(f"AK-{name}"), published_at=self.clock.now())
            record = Record(target=name, path=f"apps/{name}", current=key)
            self.vault.versions[f"{STATE}/{name}"] = [encode(record)]
            self.hostup.living[f"AK-{name}"] = name


@pytest.fixture
def world(tmp_path: Path, client: redis.Redis) -> World:
    return World(tmp_path, client)


def _waits_for(runtime: Runtime, name: str) -> str:
    return str((runtime.shared.index.summary(name) or {}).get("waits_for"))


def test_it_is_noted_before_the_first_key_and_by_one(world: World) -> None:
    workers = [world.worker() for _ in range(3)]
    for name, worker in zip(TARGETS, workers, strict=False):
        look_while_due(worker, name)
    assert world.note() == 1
    assert world.record_reads() < 2 * len(TARGETS), "the records were read by more than one"
    assert len(world.hostup.made) == len(workers)
    assert world.counts() == 2, "before the records were read, and after"
    assert world.client.exists(BASELINE) == 0


def test_while_another_counts_no_key_is_made_and_all_else_goes_on(world: World) -> None:
    world.has_lived(TARGETS[1])
    other, worker = Turn(world.client), world.worker()
    assert other.take(world.clock, LEASE)
    for name in TARGETS[:2]:
        look_while_due(worker, name)
    assert world.hostup.made == []
    assert "the keys of the account are counted" in _waits_for(worker, TARGETS[0])
    assert "the next rotation" in _waits_for(worker, TARGETS[1])
    other.leave()
    world.clock.time += TICK
    look_while_due(worker, TARGETS[0])
    assert len(world.hostup.made) == 1
    assert world.note() == 2 - 1


def test_a_thread_that_was_turned_away_does_not_try_all_others(world: World) -> None:
    worker = world.worker()
    worker.shared.due.schedule_missing(TARGETS, world.clock.now())
    assert Turn(world.client).take(world.clock, LEASE)
    look_while_due(worker, TARGETS[0])
    assert world.record_reads() == 1


def test_one_that_is_turned_away_long_ago_holds_up_no_thread(world: World) -> None:
    worker, other = world.worker(), Turn(world.client)
    assert other.take(world.clock, LEASE)
    look_while_due(worker, TARGETS[0])
    world.has_lived(*TARGETS[1:])
    worker.shared.due.schedule_missing(TARGETS[1:], world.clock.now())
    world.clock.time += TICK
    before = world.record_reads()
    look_while_due(worker, TARGETS[1])
    assert world.record_reads() - before >= len(TARGETS) - 1


def test_who_goes_on_is_waited_for_and_who_stands_still_is_not(world: World) -> None:
    other, worker = Turn(world.client), world.worker()
    assert other.take(world.clock, LEASE)
    for _ in range(6):
        look_while_due(worker, TARGETS[0])
        world.clock.time += LEASE / 2
        other.renew(world.clock, LEASE)
    assert world.hostup.made == []
    world.clock.time += LEASE / 2
    look_while_due(worker, TARGETS[0])  # sees the last mark
    world.clock.time += LEASE + SECOND
    look_while_due(worker, TARGETS[0])
    assert len(world.hostup.made) == 1


def _forge_a_mark(client: redis.Redis) -> None:
    client.set(BASELINE, "for ever")


def _forge_a_hash(client: redis.Redis) -> None:
    client.hset(BASELINE, "a", "b")


@pytest.mark.parametrize("forge", [_forge_a_mark, _forge_a_hash])
def test_what_somebody_else_wrote_into_redis_holds_nothing_for_longer_than_a_lease(
    world: World, forge: Callable[[redis.Redis], None]
) -> None:
    worker = world.worker()
    forge(world.client)
    look_while_due(worker, TARGETS[0])
    world.clock.time += LEASE + SECOND
    look_while_due(worker, TARGETS[0])
    assert len(world.hostup.made) == 1
    assert world.note() == 1


def test_with_redis_wiped_meanwhile_two_may_count_and_one_note_is_made(world: World) -> None:
    first = Turn(world.client)
    assert first.take(world.clock, LEASE)
    world.client.flushall()
    look_while_due(world.worker(), TARGETS[0])
    first.renew(world.clock, LEASE)
    assert world.note() == 1
    assert len(world.vault.versions[f"{STATE}/_account"]) == 1
    look_while_due(world.worker(), TARGETS[1])
    assert len(world.hostup.made) == 2


def test_where_hostup_tells_no_count_it_is_asked_again_after_a_tick_only(world: World) -> None:
    world.hostup = Untold(world.gate)
    worker = world.worker()
    for name in TARGETS[:5]:
        look_while_due(worker, name)
    assert len(world.hostup.made) == 5, "rotations go on without the note"
    assert world.counts() == 1
    assert world.gate.calls[f"vault read {STATE}/_account"] <= 2
    world.clock.time += TICK
    look_while_due(worker, TARGETS[5])
    assert world.counts() == 2


def test_counting_that_a_quota_stopped_goes_on_where_it_was(world: World) -> None:
    world.has_lived(*TARGETS)
    del world.vault.versions[f"{STATE}/{TARGETS[0]}"]
    worker = world.worker()
    for _ in range(30):
        world.gate.quota = 4
        look_while_due(worker, TARGETS[0])
        if world.note() is not None:
            break
        world.clock.time += TICK
    assert world.note() == 2, "one made by hand, and the one whose record is gone"
    looks = world.record_reads() - len(TARGETS)
    assert looks <= 20, f"{world.record_reads()} reads of {len(TARGETS)} records"
