"""A runtime on a real Valkey with all else in memory, and a clock that lets the world go on while somebody waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import redis

from tests.doubles import MemoryClock, MemoryHostUp, MemoryVault, one_account
from tests.records import MINUTE, NOW, SECOND
from tests.unit.settings.configuring import TARGET, read
from worker.adapters.redis.account import Account, AccountLimits
from worker.adapters.redis.index import IndexEntry
from worker.adapters.redis.keys import DUE, WORKERS
from worker.adapters.redis.locks import Hold
from worker.adapters.redis.state import SharedState, shared_state
from worker.adapters.vault.kv import VaultStore
from worker.cli.options import Options
from worker.clock import ProcessClock
from worker.errors import HostUpCall, HostUpRateLimited, RotatorError
from worker.rotation.record import Record
from worker.rotation.records import RecordStore
from worker.rotation.services import Policy, Services
from worker.rotation.status import unusable
from worker.sandbox.servers import ValkeyServer
from worker.service.assemble import Runtime
from worker.service.own_audit import AuditDiary
from worker.service.standing import RedisTrouble
from worker.settings.environment import Need
from worker.settings.settings import Settings
from worker.targets.backoff import Backoff
from worker.targets.target import Target

LIMITS = AccountLimits(2, MINUTE, Backoff(SECOND, timedelta(hours=1)), Backoff(SECOND, SECOND))
LIMITED = HostUpRateLimited("too many", HostUpCall("create_key", 429, retry_after=60.0), hint="Wait.")


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
    """One target with a record, and workers that show themselves as long as a test wants."""

    runtime: Runtime
    clock: ActingClock
    shared: SharedState
    config: Path
    hostup: MemoryHostUp

    @property
    def target(self) -> Target:
        return self.runtime.settings.targets["media"]

    def options(self, *, as_json: bool = True) -> Options:
        """For commands, which print to stdout."""
        return ByHand(as_json=as_json, on=self.runtime)

    def record(self) -> Record:
        return self.runtime.services.store.load("media", "apps/media").record

    def change(self, change: Callable[[Record], Record]) -> None:
        store = self.runtime.services.store
        store.change(store.load("media", "apps/media"), change)

    def with_account(self, client: redis.Redis) -> Runtime:
        """The same with an account that has a circuit."""
        services = self.runtime.services
        account = Account(client, self.hostup, self.clock, LIMITS)
        return replace(self.runtime, services=replace(services, accounts=one_account(self.hostup, account=account)))

    def beat(self, until: timedelta, *, takes: bool = True) -> None:
        """A worker beats every five seconds, and takes up what is due; Redis' clock is made to go as this one does."""
        last = [NOW - 5 * SECOND]

        def act(now: datetime) -> None:
            if now - last[0] >= 5 * SECOND and now < NOW + until:
                last[0] = now
                if takes:
                    self.shared.due.claim(now, MINUTE, 5)
            shows(self.shared.client, "one", now - last[0])

        self.clock.acts.append(act)
        act(NOW)


@dataclass(frozen=True)
class ByHand(Options):
    """What a command is called with, on the scene's own runtime."""

    on: Runtime | None = None

    def runtime(self, needs: Need, settings: Settings | None = None) -> Runtime:  # noqa: ARG002 - all is there
        assert self.on is not None
        return replace(self.on, settings=settings) if settings else self.on


def runtime_with(
    settings: Settings, services: Services, shared: SharedState, vault: VaultStore, clock: ProcessClock
) -> Runtime:
    """A worker's runtime made of these parts."""
    audits = AuditDiary(clock, settings.worker.audit_every)
    return Runtime(settings, services, shared, vault, clock, "here", RedisTrouble(clock), audits)


def full_summary(target: str, **facts: object) -> dict[str, object]:
    """A summary that has its form, with some facts set."""
    return {**unusable(RotatorError("nothing"), target), "last_error": None, "phase": "idle", **facts}


def scheduled(shared: SharedState, key: str = DUE) -> set[str]:
    """The names of all that have a next look, or a next watch."""
    return {str(name) for name in shared.client.zrange(key, 0, -1)}


def shows(client: redis.Redis, worker: str, ago: timedelta) -> None:
    """As if a worker had shown itself so long ago, by Redis' clock."""
    seconds, micros = client.time()
    client.zadd(WORKERS, {worker: seconds + micros / 1_000_000 - ago.total_seconds()})


def scene_on(folder: Path, client: redis.Redis, server: ValkeyServer, record: Record) -> Scene:
    """The scene with this record."""
    vault, hostup, clock = MemoryVault(), MemoryHostUp(), ActingClock()
    store = RecordStore(vault, "hostup-rotator/state", clock)
    settings = read(folder, TARGET, env={"REDIS_URL": server.url.reveal()})
    shared = shared_state(client)
    services = Services(
        one_account(hostup), vault, store, clock,
        Policy("secret", MINUTE, MINUTE, MINUTE, MINUTE, SECOND),
    )  # fmt: skip
    process_clock: ProcessClock = clock
    runtime = runtime_with(settings, services, shared, None, process_clock)  # type: ignore[arg-type]  # no Vault server
    store.change(store.load("media", "apps/media"), lambda _: record)
    shared.index.finish_look(IndexEntry("media", full_summary("media"), ()), NOW, Hold("media", mine=True))
    return Scene(runtime, clock, shared, settings.file, hostup)
