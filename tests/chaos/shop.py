"""A worker in this process: the real tasks on real servers, one message after the other, its clock jumping ahead.

What a worker waits for (a lease, a grace period, a backoff) passes at once; what it calls outside takes the time it
takes, so deadlines are real.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import redis
import structlog

from tests.chaos.sites import Noted, Notes
from worker.adapters.http.backend import DeadlineBackend
from worker.adapters.http.client import new_client
from worker.adapters.http.guard import Guard
from worker.adapters.redis.account import Account
from worker.adapters.redis.client import connect
from worker.adapters.redis.state import shared_state
from worker.adapters.s3.lazy import LazyStorage
from worker.adapters.vault.opening import open_destinations, open_vault
from worker.errors import RotatorError, VaultUnavailable
from worker.rotation.audit import AuditReport, audit
from worker.rotation.records import RecordStore
from worker.rotation.services import AccountServices, Destination, Services
from worker.selftest.checker import BrokenPromise, check, orphans, unrest
from worker.selftest.evidence import Evidence
from worker.selftest.life import REQUEST, seed_history
from worker.selftest.stand import Stand
from worker.service.api_keys import api_key_desk, api_key_of, api_keys_of
from worker.service.assemble import Runtime, hostup_of, limits, policy, storage_place, worker_name
from worker.service.audit_task import audit_once, slack
from worker.service.look import look_while_due, watch_while_nothing_is_due
from worker.service.own_audit import AuditDiary
from worker.service.request import Asked, rotate
from worker.service.standing import RedisTrouble
from worker.service.tick import tick
from worker.settings.settings import load
from worker.targets.account import DEFAULT_ACCOUNT

PATIENCE = 90.0
REDIS_SECONDS = 1.0
NEARLY = 0.9
LOGGED: ContextVar[list[str] | None] = ContextVar("logged", default=None)


def log_to_the_trial(logger: object, method: str, event: Mapping[str, Any]) -> str:
    """A last processor: the line goes to the trial whose thread logs. Nothing is redacted here, so leaks are seen."""
    del logger
    lines = LOGGED.get()
    if lines is not None:
        lines.append(json.dumps({"level": method, **event}, default=str))
    raise structlog.DropEvent


class JumpingClock:
    """The real clock plus what was jumped over; remembers its jumps, so that moments can be told in both times.

    ``meanwhile`` is called whenever a step waits for better times with its hands full, and nobody else gets a turn.
    """

    def __init__(self) -> None:
        self.stopping = False
        self._jumps: list[tuple[datetime, timedelta]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return self.of(datetime.now(UTC))

    def of(self, moment: datetime) -> datetime:
        """A real moment in this clock's time."""
        return moment + sum((jump for at, jump in self._jumps if at <= moment), timedelta())

    def monotonic(self) -> float:
        return time.monotonic() + sum(jump.total_seconds() for _, jump in self._jumps)

    def wait(self, seconds: float) -> bool:
        self._jumps.append((datetime.now(UTC), timedelta(seconds=max(seconds, 0))))
        return False

    def sleep(self, seconds: float) -> None:
        self.wait(seconds)
        self.meanwhile()

    def stop(self) -> None:
        self.stopping = True


@dataclass(slots=True)
class Shop:
    """The worker of one trial. ``broke`` takes the errors that nobody foresaw: each is a finding."""

    stand: Stand
    runtime: Runtime
    clock: JumpingClock
    notes: Notes
    messages: deque[tuple[str, tuple[Any, ...], str]] = field(default_factory=deque)
    broke: list[BrokenPromise] = field(default_factory=list)

    def live(
        self,
        between: Callable[[], None],
        ready: Callable[[], bool] = lambda: True,
        rests: Callable[[], bool] = lambda: True,
    ) -> None:
        """Work until the target has been through everything and is at rest; ``between`` is called after each look.

        Once the target is at rest and ``ready``, a rotation is asked for. ``rests``: nothing beside it is in doubt.
        """
        self.clock.meanwhile = between
        deadline = time.monotonic() + PATIENCE
        seeded = asked = False
        while not (asked and self._is_through() and rests()):
            if time.monotonic() > deadline:
                record = self.stand.mount.record(self.stand.watched.name)
                failure = (record or {}).get("failure")
                self.broke.append(BrokenPromise(0, "the target", f"never came to rest: {unrest(record)} {failure}"))
                return
            self._run("rotator.tick", ())
            while self.messages:
                task, arguments, request = self.messages.popleft()
                self._run(task, arguments, request)
            between()
            if not asked and ready() and unrest(self.stand.mount.record(self.stand.watched.name)) == "":
                if not seeded:
                    seed_history(self.stand)
                    seeded = True
                asked = self._run("rotator.rotate", (self.stand.watched.name, "the trial"), REQUEST)
            self._jump()
        if not self._run("rotator.audit", ()):
            between()
            self.stand.direct.delete("rotator:once:audit")
            self._run("rotator.audit", ())

    def judge(self, evidence: Evidence, *, may_lose: bool) -> tuple[BrokenPromise, ...]:
        """What is wrong after all; drift must be what is left over.

        An answer that came after the create's deadline may be lost: the machine was too busy, not the worker wrong.
        """
        deadline = self.runtime.settings.worker.create_deadline.total_seconds()
        may_lose = may_lose or self.notes.timed_out("hostup.create_key", NEARLY * deadline)
        found = list(self.broke)
        left = orphans(evidence)
        report = self._audited()
        rescued = sum(path.startswith("_rescued/") for path in evidence.documents)
        if report.drift != len(left) + rescued:
            found.append(
                BrokenPromise(3, "drift", f"{len(left)} keys are left over, and the audit tells of {report.drift}")
            )
        if left and not may_lose:
            found.append(BrokenPromise(3, ", ".join(left), "was lost, although its answer came"))
        lines = "\n".join(LOGGED.get() or [])
        texts = {**evidence.texts, "log": lines}
        return (*found, *check(replace(evidence, clock=self.clock.of, texts=texts)))

    def _audited(self) -> AuditReport:
        """Once more where Vault or HostUp did not answer in time, as happens on a busy machine."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                report = audit(self.runtime.services, self.runtime.settings.targets, slack(self.runtime))
            except VaultUnavailable:
                if time.monotonic() > deadline:
                    raise
            else:
                if report.drift is not None or time.monotonic() > deadline:
                    return report

    def _send(self, task: str, args: list[Any], task_id: str = "") -> None:
        self.messages.append((task, tuple(args), task_id))

    def _run(self, task: str, arguments: tuple[Any, ...], request: str = "") -> bool:
        """One message; False when it failed, as it may: an error that is none of ours is a finding."""
        tasks: dict[str, Callable[..., None]] = {
            "rotator.tick": lambda: tick(self.runtime, self._send),
            "rotator.reconcile": lambda name: look_while_due(self.runtime, name),
            "rotator.watch": lambda name: watch_while_nothing_is_due(self.runtime, name),
            "rotator.rotate": lambda name, *said: rotate(self.runtime, name, Asked(request, *said)),
            "rotator.audit": lambda: audit_once(self.runtime),
        }
        try:
            tasks[task](*arguments)
        except RotatorError:
            return False
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            self.broke.append(BrokenPromise(0, task, f"broke with {error!r}"))
            return False
        return True

    def _is_through(self) -> bool:
        record = self.stand.mount.record(self.stand.watched.name)
        served = [request for request, _ in (record or {}).get("served", [])]
        return REQUEST in served and unrest(record) == ""

    def _jump(self) -> None:
        """To when the target wants to be looked at, but no further than a lease, and a tick at least."""
        worker = self.runtime.settings.worker
        try:
            name = self.stand.watched.name
            scores = [self.stand.direct.zscore(key, name) for key in ("rotator:due", "rotator:watches")]
            due = min((score for score in scores if score is not None), default=None)
        except redis.RedisError:
            due = None  # it is away just now
        wanted = float(due) - self.clock.now().timestamp() if due is not None else 0.0
        self.clock.wait(min(max(wanted, worker.tick.total_seconds()), worker.lease.total_seconds()))


@contextmanager
def open_shop(stand: Stand) -> Iterator[Shop]:
    """The worker's parts as ``service.assemble`` puts them together, with the jumping clock and noted ports."""
    settings = load(None, stand.environment)
    clock, notes = JumpingClock(), Notes()
    with ExitStack() as stack:
        shared = shared_state(connect(settings.redis_url, timeout=REDIS_SECONDS))
        stack.callback(shared.client.close)
        vault = open_vault(settings, clock)
        stack.callback(vault.close)
        guard = Guard()
        client = stack.enter_context(new_client(backend=DeadlineBackend(guard)))

        def note(port: object, name: str) -> Any:
            return Noted(port, name, notes, lambda: len(stand.script.trace()))

        first = settings.accounts[DEFAULT_ACCOUNT]
        elsewhere = open_destinations(settings, vault, clock)
        destinations = {
            name: Destination(note(each, "vault"), settings.destinations[name].vault.mount)
            for name, each in elsewhere.items()
        }
        vault = note(vault, "vault")
        hostup = note(hostup_of(settings, first, client, api_key_of(settings, first, vault, clock)), "hostup")
        store = RecordStore(vault, settings.vault.state_path, clock)
        place = storage_place(settings, first)
        storage = LazyStorage(client, guard, hostup, place, store.endpoint(), clock, keep=True)
        account = Account(shared.client, hostup, clock, limits(settings, first))
        services = Services(
            accounts={DEFAULT_ACCOUNT: AccountServices(hostup, note(storage, "storage"), account)},
            vault=vault,
            store=store,
            clock=clock,
            policy=policy(settings),
            destinations=destinations,
        )
        audits = AuditDiary(clock, settings.worker.audit_every)
        keys = note(api_keys_of(settings, first, client), "hostup")
        desk = api_key_desk(settings, first, keys, vault, account, clock)
        desks = {DEFAULT_ACCOUNT: desk} if desk else {}
        trouble = RedisTrouble(clock)
        runtime = Runtime(settings, services, shared, vault, clock, worker_name(), trouble, audits, desks=desks)
        yield Shop(stand, runtime, clock, notes)
