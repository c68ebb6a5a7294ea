"""Puts the parts together from the settings: one set of clients for a process, shared by all of its threads."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

from worker.adapters.hostup.api_key import ApiKey
from worker.adapters.hostup.client import HostUpClient
from worker.adapters.http.backend import DeadlineBackend
from worker.adapters.http.client import HttpClient, new_client
from worker.adapters.http.guard import Guard
from worker.adapters.redis.account import Account, AccountLimits
from worker.adapters.redis.client import connect
from worker.adapters.redis.login import RedisLogin
from worker.adapters.redis.state import SharedState, shared_state
from worker.adapters.s3.endpoint import is_inside
from worker.adapters.s3.lazy import LazyStorage, StoragePlace
from worker.adapters.vault.kv import VaultStore
from worker.adapters.vault.opening import call_deadline, open_destinations, open_vault
from worker.clock import ProcessClock, SystemClock, WitnessedClock
from worker.errors import QueueOverlong, QueueUnavailable, UsageError
from worker.logs.redaction import Redactor
from worker.meter import NO_METER, Meter
from worker.rotation.api_key.desk import ApiKeyDesk
from worker.rotation.records import RecordStore
from worker.rotation.services import AccountServices, Destination, Policy, Services
from worker.service.api_keys import api_key_of, desks_of
from worker.service.baseline import Baselines
from worker.service.bulkhead import Bulkhead
from worker.service.own_audit import AuditDiary
from worker.service.refusals import RightForm
from worker.service.share import Share, watching_threads
from worker.service.standing import ClockTrouble, RedisTrouble
from worker.settings.settings import AccountSettings, Settings
from worker.spans import NO_SPANS, Spans
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.backoff import LONGEST_ASKED, Backoff
from worker.targets.target import Target

SHORTENED_EVERY = timedelta(seconds=10)
"""What is too long in Redis is looked for by one thread of all workers, and no more often."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Everything that a worker process, or a command, works with."""

    settings: Settings
    services: Services
    shared: SharedState
    vault: VaultStore
    clock: ProcessClock
    name: str
    redis_trouble: RedisTrouble
    audits: AuditDiary
    http: HttpClient | None = None
    longest_watch: timedelta = timedelta(days=3660)
    guard: Guard = field(default_factory=Guard)
    redis_login: RedisLogin | None = None
    refused: RightForm = field(default_factory=RightForm)
    baselines: Baselines = field(default_factory=Baselines)
    watching: Share = field(default_factory=Share)
    bulkhead: Bulkhead = field(default_factory=Bulkhead)
    watch_bulkhead: Bulkhead = field(default_factory=Bulkhead)
    elsewhere: Mapping[str, VaultStore] = field(default_factory=dict)
    desks: Mapping[str, ApiKeyDesk] = field(default_factory=dict)

    def target(self, name: str) -> Target:
        """A configured target. Raises UsageError when there is none of that name."""
        target = self.settings.targets.get(name)
        if target is None:
            raise UsageError(f"there is no target {name[:64]!r}", hint="See the names in `rotator status`.")
        return target

    def watch_every(self, target: Target) -> timedelta:
        """How often what apps read of a target is looked at."""
        return target.watch_every or self.settings.worker.watch_every

    @property
    def watching_threads(self) -> int:
        """How many threads may watch at once."""
        return watching_threads(self.settings.worker.concurrency, len(self.settings.accounts))

    def closed(self, *, watching: bool = False) -> frozenset[str]:
        """The accounts whose targets this process has no room for now, or has just turned away."""
        full = self.bulkhead.full(self.settings.worker.concurrency) | self.baselines.turning_away(self.clock)
        return full | self.watch_bulkhead.full(self.watching_threads) if watching else full

    def outside(self, accounts: frozenset[str]) -> Callable[[str], bool] | None:
        """Whether a target is none of these accounts'; None where there are no such accounts."""
        targets = self.settings.targets
        return (lambda name: name not in targets or targets[name].account not in accounts) if accounts else None

    def allows_create(self, account: str) -> bool:
        """Whether a key may be made: not before it is noted how many are foreign there. Raises VaultError."""
        baseline = self.baselines.of(account, self.shared.turn)
        return baseline.allows_create(self.services, self.settings.targets)

    def hostup_is_inside(self, account: str = DEFAULT_ACCOUNT) -> bool:
        """Whether HostUp's API is on this machine or in a network of its own, as a simulated one is."""
        base = self.settings.accounts[account].hostup.base_url
        return is_inside(base, self.guard, by_proxy=self.settings.proxies.to(base) is not None)

    def redis_failed(self, error: QueueUnavailable) -> None:
        """A call to Redis failed. What is too long to be read is dropped by one worker: no call would succeed again."""
        self.redis_trouble.failed(error)
        if isinstance(error, QueueOverlong):
            with suppress(QueueUnavailable):  # whoever calls next tries again
                if self.shared.locks.only_one("shorten", SHORTENED_EVERY):
                    self.shared.repairs.shorten()

    def close(self) -> None:
        """Close every connection."""
        if self.http:
            self.http.close()
        self.vault.close()
        for name, vault in self.elsewhere.items():
            if not self.settings.destinations[name].shares_login:
                vault.close()
        self.shared.client.close()


def build(
    settings: Settings,
    redactor: Redactor | None = None,
    clock: ProcessClock | None = None,
    *,
    keep: bool = False,
    meter: Meter = NO_METER,
    spans: Spans = NO_SPANS,
    name: str = "",
) -> Runtime:
    """Make all clients; none of them calls out before its first use. ``redactor`` is given secrets that come up.

    ``clock`` is another one than the machine's, put right by Vault's; ``keep``: note the storage's endpoint at its
    first sight. ``meter`` and ``spans`` are told what happens. ``name`` is this
    process's, made up where there is none yet.

    Raises ConfigurationError for addresses and secrets that cannot be used.
    """
    clock = clock or WitnessedClock(SystemClock())
    witnessed = clock if isinstance(clock, WitnessedClock) else None
    redactor = redactor or Redactor()
    on_new = redactor.keep
    vault = open_vault(settings, clock, ClockTrouble(witnessed).hear if witnessed else None, on_new, meter)
    elsewhere = open_destinations(settings, vault, clock, on_new, meter)
    login = RedisLogin(settings.redis_url, settings.redis_url_file, on_new)
    shared = shared_state(connect(settings.redis_url, login=login), settings.accounts)
    guard = Guard()
    http = new_client(proxies=settings.proxies, backend=DeadlineBackend(guard))
    store = RecordStore(vault, settings.vault.state_path, clock, settings.vault.mount, shared.index.seen_version)

    def at(account: AccountSettings) -> AccountServices:
        api_key = api_key_of(settings, account, vault, clock, on_new)
        hostup = hostup_of(settings, account, http, api_key, meter)
        place, notes = storage_place(settings, account), store.endpoint(account.name)
        storage = LazyStorage(http, guard, hostup, place, notes, clock, keep=keep, meter=meter)
        limited = limits(settings, account)
        return AccountServices(hostup, storage, Account(shared.client, hostup, clock, limited, account.name))

    services = Services(
        accounts={name: at(account) for name, account in settings.accounts.items()},
        vault=vault,
        store=store,
        clock=clock,
        policy=policy(settings),
        keep_secret=redactor.add,
        secrets_for_a_while=redactor.for_a_while,
        machine=witnessed.own if witnessed else clock,
        meter=meter,
        spans=spans,
        destinations={
            name: Destination(each, settings.destinations[name].vault.mount) for name, each in elsewhere.items()
        },
    )
    every = (target.watch_every or settings.worker.watch_every for target in settings.targets.values())
    return Runtime(
        settings,
        services,
        shared,
        vault,
        clock,
        name or worker_name(),
        RedisTrouble(clock),
        AuditDiary(clock, settings.worker.audit_every),
        http,
        max(every, default=settings.worker.watch_every),
        guard,
        login,
        bulkhead=Bulkhead(tuple(settings.accounts)),
        watch_bulkhead=Bulkhead(tuple(settings.accounts)),
        elsewhere=elsewhere,
        desks=desks_of(settings, http, services, on_new),
    )


def hostup_of(
    settings: Settings, account: AccountSettings, http: HttpClient, api_key: ApiKey, meter: Meter = NO_METER
) -> HostUpClient:
    """The HostUp API of an account, called with this key. Raises ConfigurationError."""
    return HostUpClient(
        http,
        account.hostup.base_url,
        api_key,
        create_deadline=settings.worker.create_deadline.total_seconds(),
        deadline=call_deadline(settings).total_seconds(),
        meter=meter,
        account=account.name,
    )


def storage_place(settings: Settings, account: AccountSettings) -> StoragePlace:
    """Where an account's object storage is, as far as the settings say."""
    deadline, storage = call_deadline(settings).total_seconds(), account.storage
    return StoragePlace(account.hostup.base_url, deadline, storage.endpoint, storage.region, account.name)


def policy(settings: Settings) -> Policy:
    """The times that hold for all targets."""
    return Policy(
        mount=settings.vault.mount,
        lease=settings.worker.lease,
        create_deadline=settings.worker.create_deadline,
        verify_within=settings.worker.verify_within,
        dead_within=settings.worker.dead_within,
        tick=settings.worker.tick,
        watch_every=settings.worker.watch_every,
        receipts_path=settings.vault.receipts_path,
    )


def limits(settings: Settings, account: AccountSettings) -> AccountLimits:
    """What an account as a whole may be asked for."""
    tick = settings.worker.tick
    return AccountLimits(
        creates=account.hostup.parallel_creates,
        hold=settings.worker.lease,
        after_create=Backoff(tick, LONGEST_ASKED),
        # with its jitter still less than a tick, so that the first tick after an outage finds out that it is over
        after_other=Backoff(tick / 2, tick / 2),
    )


def worker_name() -> str:
    """A name that no other worker process has: in containers, many have one host's name and are process 1."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
