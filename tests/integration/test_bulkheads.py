"""An account whose calls hang holds the threads that count as its own, and never one that another account needs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar, cast

import pytest
import redis

from tests.doubles import Gate, MemoryHostUp, MemoryStorage, MemoryVault, at
from tests.integration.scene import ActingClock, runtime_with
from tests.records import DAY
from tests.sandbox import wait_until
from tests.unit.settings.configuring import read
from worker.adapters.redis.state import shared_state
from worker.adapters.vault.kv import VaultStore
from worker.rotation.baseline import ensure_baseline
from worker.rotation.reconcile import reconcile
from worker.rotation.records import RecordStore
from worker.rotation.services import Services
from worker.service.assemble import Runtime, policy
from worker.service.bulkhead import Bulkhead
from worker.service.look import look_while_due, watch_while_nothing_is_due

T = TypeVar("T")
PATIENCE = 30.0
MOVED, OWN = ("moved-1", "moved-2"), "own"


@dataclass
class Hanging(Gate):
    """Once it is shut every call waits until it is opened."""

    open: threading.Event = field(default_factory=threading.Event)
    waiting: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open.set()

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:  # noqa: ARG002
        if not self.open.is_set():
            self.waiting.append(name)
            assert self.open.wait(PATIENCE)
        return effect()


@dataclass
class Two:
    """Two accounts; the calls of the first, and to its storage, hang when they are told to."""

    runtime: Runtime
    clock: ActingClock
    old: Hanging
    hostups: dict[str, MemoryHostUp]

    @contextmanager
    def hung(self, begin: Callable[[], object], calls: int = 1) -> Iterator[None]:
        """While somebody waits for the first account, who has begun so."""
        self.old.open.clear()
        waits = threading.Thread(target=begin)
        waits.start()
        try:
            wait_until(lambda: len(self.old.waiting) == calls, "the first account is asked")
            yield
        finally:
            self.old.open.set()
            waits.join(PATIENCE)

    def ends(self, act: Callable[[], object]) -> bool:
        """Whether it comes to its end, although the first account hangs."""
        other = threading.Thread(target=act, daemon=True)
        other.start()
        wait_until(lambda: not other.is_alive() or len(self.old.waiting) > 1, "it ends, or waits for the first account")
        return len(self.old.waiting) == 1


@pytest.fixture
def two(tmp_path: Path, client: redis.Redis) -> Two:
    text = '[[account]]\nname = "media"\n[worker]\nconcurrency = 2\n'
    for name in (*MOVED, OWN):
        text += f'[[target]]\nname = "{name}"\npath = "apps/{name}"\nevery = "30d"\ngrace = "24h"\naccount = "media"\n'
    vault, clock = MemoryVault(), ActingClock()
    settings = read(tmp_path, text, env={"HOSTUP_API_KEY_MEDIA": "k"})
    old = Hanging()
    hostups = {
        "default": MemoryHostUp(gate=old, living={"BY-HAND": "made by hand"}),
        "media": MemoryHostUp(prefix="MK"),
    }
    accounts = {name: at(hostup, MemoryStorage(hostup, gate=hostup.gate)) for name, hostup in hostups.items()}
    store = RecordStore(vault, settings.vault.state_path, clock)
    services = Services(accounts, vault, store, clock, policy(settings))
    shared = shared_state(client, settings.accounts)
    runtime = runtime_with(settings, services, shared, cast("VaultStore", vault), clock)
    names = tuple(settings.accounts)
    for name in hostups:
        ensure_baseline(services, {}, account=name)
    runtime = replace(runtime, bulkhead=Bulkhead(names), watch_bulkhead=Bulkhead(names))
    return Two(runtime, clock, old, hostups)


def _on_the_old_account(two: Two, *names: str) -> None:
    for name in names:
        reconcile(two.runtime.services, replace(two.runtime.target(name), account="default"))


def _with_threads(runtime: Runtime, threads: int) -> Runtime:
    settings = runtime.settings
    worker = settings.worker.model_copy(update={"concurrency": threads})
    return replace(runtime, settings=replace(settings, worker=worker))


def test_targets_that_moved_from_a_silent_account_hold_no_thread_of_the_one_they_moved_to(two: Two) -> None:
    _on_the_old_account(two, *MOVED)
    for name in MOVED:
        reconcile(two.runtime.services, two.runtime.target(name))
    two.clock.time += 2 * DAY
    with two.hung(lambda: look_while_due(two.runtime, MOVED[0])):
        assert two.ends(lambda: look_while_due(two.runtime, MOVED[1])), "its old key waits for a thread of its account"
        assert two.ends(lambda: look_while_due(two.runtime, OWN))
        assert two.hostups["media"].made == ["MK1", "MK2", "MK3"]
    assert two.hostups["default"].deleted == ["AK1"]
    two.clock.time += DAY / 24
    look_while_due(two.runtime, MOVED[1])
    assert two.hostups["default"].deleted == ["AK1", "AK2"]


def test_watches_of_keys_on_a_silent_account_hold_no_thread_of_the_targets_own(two: Two) -> None:
    """Of eight threads two may watch: one of each account."""
    _on_the_old_account(two, *MOVED)
    reconcile(two.runtime.services, two.runtime.target(OWN))
    two.runtime = _with_threads(two.runtime, 8)
    with two.hung(lambda: watch_while_nothing_is_due(two.runtime, MOVED[0])):
        assert two.ends(lambda: watch_while_nothing_is_due(two.runtime, MOVED[1]))
        assert two.ends(lambda: watch_while_nothing_is_due(two.runtime, OWN))
        assert OWN in two.runtime.shared.watches.sightings()


def test_watches_of_a_silent_account_leave_one_for_each_other(two: Two) -> None:
    """Of eight threads two may watch: one of each account."""
    settings = two.runtime.settings
    eight = replace(
        settings,
        worker=settings.worker.model_copy(update={"concurrency": 8}),
        targets={
            name: replace(t, account="media" if name == OWN else "default") for name, t in settings.targets.items()
        },
    )
    two.runtime = replace(two.runtime, settings=eight)
    assert two.runtime.watching_threads == 2
    for target in eight.targets.values():
        reconcile(two.runtime.services, target)
    with two.hung(lambda: watch_while_nothing_is_due(two.runtime, MOVED[0])):
        assert two.ends(lambda: watch_while_nothing_is_due(two.runtime, MOVED[1])), "it is put back"
        assert two.ends(lambda: watch_while_nothing_is_due(two.runtime, OWN))
        assert set(two.runtime.shared.watches.sightings()) == {OWN}
    watch_while_nothing_is_due(two.runtime, MOVED[1])
    assert set(two.runtime.shared.watches.sightings()) == {*MOVED, OWN}
