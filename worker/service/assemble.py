"""Puts the parts together from the settings: one set of clients for a process, shared by all of its threads."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

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
from worker.adapters.vault.opening import call_deadline, open_vault
from worker.clock import ProcessClock, SystemClock, WitnessedClock
from worker.errors import UsageError
from worker.logs.redaction import Redactor
from worker.meter import NO_METER, Meter
from worker.rotation.records import RecordStore
from worker.rotation.services import Policy, Services
from worker.secret import Secret
from worker.service.baseline import Baseline
from worker.service.own_audit import AuditDiary
from worker.service.share import Share
from worker.service.standing import ClockTrouble, RedisTrouble
from worker.settings.credential import Credential, no_logs
from worker.settings.settings import Settings
from worker.spans import NO_SPANS, Spans
from worker.targets.backoff import LONGEST_ASKED, Backoff
from worker.targets.target import Target


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
    baseline: Baseline = field(default_factory=Baseline)
    watching: Share = field(default_factory=Share)

    def target(self, name: str) -> Target:
        """A configured target. Raises UsageError when there is none of that name."""
        target = self.settings.targets.get(name)
        if target is None:
            raise UsageError(f"there is no target {name[:64]!r}", hint="See the names in `rotator status`.")
        return target

    def watch_every(self, target: Target) -> timedelta:
        """How often what apps read of a target is looked at."""
        return target.watch_every or self.settings.worker.watch_every

    def allows_create(self) -> bool:
        """Whether a key may be made: not before it is noted how many keys are foreign. Raises VaultError."""
        return self.baseline.allows_create(self.services, self.settings.targets, self.shared.turn)

    @property
    def hostup_is_inside(self) -> bool:
        """Whether HostUp's API is on this machine or in a network of its own, as a simulated one is."""
        base = self.settings.hostup.base_url
        return is_inside(base, self.guard, by_proxy=self.settings.proxies.to(base) is not None)

    def close(self) -> None:
        """Close every connection."""
        if self.http:
            self.http.close()
        self.vault.close()
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
    login = RedisLogin(settings.redis_url, settings.redis_url_file, on_new)
    shared = shared_state(connect(settings.redis_url, login=login))
    guard = Guard()
    http = new_client(proxies=settings.proxies, backend=DeadlineBackend(guard))
    store = RecordStore(vault, settings.vault.state_path, clock, settings.vault.mount)
    hostup = hostup_of(settings, http, on_new, meter)
    services = Services(
        hostup=hostup,
        vault=vault,
        storage=LazyStorage(
            http,
            guard,
            hostup,
            storage_place(settings),
            store.endpoint,
            clock,
            keep=keep,
            meter=meter,
        ),
        store=store,
        account=Account(shared.client, hostup, clock, limits(settings)),
        clock=clock,
        policy=policy(settings),
        keep_secret=redactor.add,
        secrets_for_a_while=redactor.for_a_while,
        machine=witnessed.own if witnessed else clock,
        meter=meter,
        spans=spans,
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
    )


def hostup_of(
    settings: Settings, http: HttpClient, on_new: Callable[[Secret], None] = no_logs, meter: Meter = NO_METER
) -> HostUpClient:
    """The HostUp API that the settings name; ``on_new`` is given API keys that are read later."""
    given = settings.hostup
    return HostUpClient(
        http,
        given.base_url,
        Credential(given.api_key or Secret(""), given.api_key_file, "HOSTUP_API_KEY_FILE", on_new=on_new),
        create_deadline=settings.worker.create_deadline.total_seconds(),
        deadline=call_deadline(settings).total_seconds(),
        meter=meter,
    )


def storage_place(settings: Settings) -> StoragePlace:
    """Where the object storage is, as far as the settings say."""
    deadline = call_deadline(settings).total_seconds()
    return StoragePlace(settings.hostup.base_url, deadline, settings.storage.endpoint, settings.storage.region)


def policy(settings: Settings) -> Policy:
    """The times that hold for all targets."""
    return Policy(
        mount=settings.vault.mount,
        lease=settings.worker.lease,
        create_deadline=settings.worker.create_deadline,
        verify_within=settings.worker.verify_within,
        dead_within=settings.worker.dead_within,
        tick=settings.worker.tick,
        receipts_path=settings.vault.receipts_path,
    )


def limits(settings: Settings) -> AccountLimits:
    """What the account as a whole may be asked for."""
    tick = settings.worker.tick
    return AccountLimits(
        creates=settings.hostup.parallel_creates,
        hold=settings.worker.lease,
        after_create=Backoff(tick, LONGEST_ASKED),
        # with its jitter still less than a tick, so that the first tick after an outage finds out that it is over
        after_other=Backoff(tick / 2, tick / 2),
    )


def worker_name() -> str:
    """A name that no other worker process has: in containers, many have one host's name and are process 1."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
