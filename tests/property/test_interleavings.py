"""The promises, under any order of calls of several workers, with crashes and lost answers anywhere.

The workers run the real ``reconcile`` as threads that stand still before every call outside; hypothesis chooses who
goes on, how the call ends and how much time passes. After every move, the promises are checked from the outside: from
what HostUp made and deleted and from what Vault holds, never from what the workers think.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.doubles import (
    Killed,
    MemoryClock,
    MemoryHostUp,
    MemoryStorage,
    MemoryVault,
    Player,
    Stage,
    at,
)
from tests.records import request
from worker.errors import RotatorError, TryAgainLater
from worker.rotation.changes.holding import paused, resumed
from worker.rotation.reconcile import accept, reconcile
from worker.rotation.record import Paused, Record, RetiringKey, decode
from worker.rotation.records import RecordStore
from worker.rotation.services import Policy, Services
from worker.rotation.steps.publish import publish, verify
from worker.rotation.steps.rollback import Wanted, begin_rollback, rollback_of
from worker.rotation.steps.session import Session
from worker.rotation.trace import entries
from worker.targets.account import DEFAULT_ACCOUNT
from worker.targets.fields import PRESETS
from worker.targets.schedule import Schedule
from worker.targets.target import Target

APP = "apps/media"
STATE = "state/media"
GRACE = timedelta(seconds=60)
LEASE = timedelta(seconds=30)
WELL = "well"
HOW = ["lost before", "lost after", "killed before", "killed after"]
CALLS = [
    "hostup create",
    "hostup delete",
    "vault write state",
    "vault write apps",
    "vault read",
    "storage",
    "vault destroy",
]
TARGET = Target(
    name="media",
    label="{target} {rotation_id}",
    path=APP,
    schedule=Schedule(every=timedelta(seconds=300)),
    grace=GRACE,
    fields=PRESETS["plain"],
)
POLICY = Policy(
    mount="secret",
    lease=LEASE,
    create_deadline=timedelta(seconds=10),
    verify_within=timedelta(seconds=20),
    dead_within=timedelta(seconds=60),
    tick=timedelta(seconds=2),
)


def roll_back(services: Services, target: Target) -> None:
    """What the command does."""
    work = Session(services, target, services.store.load(target.name, APP))
    intent = rollback_of(work, Wanted(None, "", "alice"))
    begin_rollback(work, intent, "alice")
    verify(work, intent.id)
    publish(work, intent.id)


class Interleavings(RuleBasedStateMachine):
    """Up to three workers on one target."""

    target = TARGET

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage()
        self.clock = MemoryClock()
        self.vault = MemoryVault(self.stage)
        self.hostups = self.make_accounts()
        self.services = Services(
            accounts={name: at(each, MemoryStorage(each, self.stage)) for name, each in self.hostups.items()},
            vault=self.vault,
            store=RecordStore(self.vault, "state", self.clock),
            clock=self.clock,
            policy=POLICY,
        )
        self.workers: list[Player] = []
        self.in_hands: dict[str, Player] = {}
        self.published: dict[str, datetime] = {}
        self.replaced: dict[str, datetime] = {}
        self.requests = 0
        self.read_by_apps = ""
        self.leaks = 0

    def make_accounts(self) -> dict[str, MemoryHostUp]:
        """The accounts by name, the default one first."""
        return {DEFAULT_ACCOUNT: MemoryHostUp(self.stage)}

    @property
    def living(self) -> set[str]:
        return {key for hostup in self.hostups.values() for key in hostup.living}

    @property
    def made(self) -> list[str]:
        return [key for hostup in self.hostups.values() for key in hostup.made]

    @initialize(rotated_before=st.booleans())
    def a_foreign_key_exists(self, *, rotated_before: bool) -> None:
        for hostup in self.hostups.values():
            hostup.living["FOREIGN"] = "somebody's"
        if rotated_before:
            reconcile(self.services, self.target)
            self.the_promises_hold()
            self.clock.time += timedelta(seconds=301)

    @precondition(lambda self: sum(not worker.done for worker in self.workers) < 3)
    @rule()
    def a_worker_looks(self) -> None:
        self.workers = [worker for worker in self.workers if not worker.done]
        self.workers.append(Player(self.stage, lambda: reconcile(self.services, self.target)))

    @precondition(lambda self: any(not worker.done for worker in self.workers))
    @rule(data=st.data(), steps=st.integers(1, 12))
    def a_worker_goes_on(self, data: st.DataObject, steps: int) -> None:
        worker = self._choose(data)
        for _ in range(steps):
            self.go(worker, WELL)

    @rule(data=st.data(), how=st.sampled_from(HOW), where=st.sampled_from(CALLS))
    def something_happens_at_a_call(self, data: st.DataObject, how: str, where: str) -> None:
        if all(worker.done for worker in self.workers):
            self._a_worker_finds_much_to_do()
        worker = self._choose(data)
        self.go_to(worker, where)
        self.go(worker, how)

    @precondition(lambda self: any(not worker.done for worker in self.workers))
    @rule(data=st.data(), where=st.sampled_from(CALLS), beyond=st.booleans(), seconds=st.sampled_from([0, 31, 91]))
    def a_worker_is_frozen_while_another_works(
        self, data: st.DataObject, where: str, *, beyond: bool, seconds: int
    ) -> None:
        frozen = self._choose(data)
        self.go_to(frozen, where)
        if beyond:
            self.go(frozen, WELL)
        self.clock.time += timedelta(seconds=seconds)
        other = Player(self.stage, lambda: reconcile(self.services, self.target))
        self.workers.append(other)
        self.go_to(other, "the end")
        self.go_to(frozen, "the end")

    @rule(seconds=st.sampled_from([1, 5, 15, 31, 61, 301]))
    def time_passes(self, seconds: int) -> None:
        self.clock.time += timedelta(seconds=seconds)

    @rule(again=st.booleans())
    def somebody_asks(self, *, again: bool) -> None:
        self.requests += 0 if again and self.requests else 1
        with suppress(TryAgainLater):  # too many wait already
            accept(self.services, self.target, request(f"message-{self.requests}", self.clock.now()))

    @rule()
    def somebody_says_that_the_key_leaked(self) -> None:
        self.leaks += 1
        asked = replace(request(f"leak-{self.leaks}", self.clock.now()), leaked=True)
        with suppress(TryAgainLater):
            accept(self.services, self.target, asked)

    @rule(ends=st.booleans())
    def a_person_pauses_or_resumes(self, *, ends: bool) -> None:
        now = self.clock.now()
        pause = Paused(at=now, by="alice", reason="", until=now + timedelta(seconds=90))
        self._change(lambda record: resumed(record, "alice", now) if ends else paused(record, pause))

    @precondition(lambda self: sum(not worker.done for worker in self.workers) < 3)
    @rule()
    def a_person_rolls_back(self) -> None:
        self.workers.append(Player(self.stage, lambda: roll_back(self.services, self.target)))

    @invariant()
    def the_promises_hold(self) -> None:
        record, app = self._record(), self.vault.latest(APP)
        self._note_publication(app)
        self._no_published_key_is_deleted(app)
        self._only_own_keys_are_deleted()
        self._every_key_is_somewhere(record)
        self._no_delete_is_doubted(record)
        self._keys_live_through_their_grace()
        self._secrets_are_only_where_they_may_be(record)
        self._no_worker_broke()
        self._one_create_for_each_intent()

    def teardown(self) -> None:
        for worker in self.workers:
            while not worker.done:
                self.go(worker, "killed before")

    def go(self, worker: Player, how: str) -> None:
        """One call of one worker; what is handed over, and what dies with whom, is noted."""
        if worker.done:
            return
        creating, before = worker.at == "hostup create", set(self.made)
        worker.go(how)
        if creating and how == WELL:
            self.in_hands |= dict.fromkeys(set(self.made) - before, worker)
        if how.startswith("killed"):
            self.in_hands = {key: holder for key, holder in self.in_hands.items() if holder is not worker}
        self.the_promises_hold()

    def go_to(self, worker: Player, where: str) -> None:
        for _ in range(300):
            if worker.done or (worker.at or "").startswith(where):
                return
            self.go(worker, WELL)

    def _a_worker_finds_much_to_do(self) -> None:
        """A rotation is due, and grace is over for the key before."""
        self.clock.time += timedelta(seconds=301)
        self.workers = [Player(self.stage, lambda: reconcile(self.services, self.target))]

    def _choose(self, data: st.DataObject) -> Player:
        return data.draw(st.sampled_from([worker for worker in self.workers if not worker.done]))

    def _record(self) -> Record | None:
        document = self.vault.latest(STATE)
        return decode(document, "media") if document else None

    def _note_publication(self, app: Any) -> None:
        if app and app["access_key"] != self.read_by_apps:
            now = self.clock.now()
            if self.read_by_apps:
                self.replaced[self.read_by_apps] = now
            self.read_by_apps = app["access_key"]
            self.replaced.pop(self.read_by_apps, None)  # it was rolled back to
            self.published.setdefault(self.read_by_apps, now)

    def _change(self, change: Callable[[Record], Record]) -> None:
        store = self.services.store
        store.change(store.load(self.target.name, APP), change)

    def _without_grace(self) -> set[str | None]:
        """Keys whose grace was ended because they leaked, as somebody said."""
        ended = {e.access_key for e in entries(self.services.store, self.target.name) if e.event == "grace.ended"}
        assert self.leaks or not ended
        return ended

    def _no_published_key_is_deleted(self, app: Any) -> None:
        assert app is None or app["access_key"] in self.living

    def _no_delete_is_doubted(self, record: Record | None) -> None:
        """HostUp does what it says, so whatever the workers do at the same time is no reason."""
        assert not any(key.undiminished for key in (record.retiring if record else ()))

    def _only_own_keys_are_deleted(self) -> None:
        for hostup in self.hostups.values():
            assert set(hostup.deleted) <= set(hostup.asked_to_delete) <= set(hostup.made), "also of no other account's"
            assert "FOREIGN" in hostup.living

    def _every_key_is_somewhere(self, record: Record | None) -> None:
        """What was handed over is on record, dead, or still in the hands of a worker that lives."""
        known = set(record.keys_on_record()) if record else set()
        for key, holder in self.in_hands.items():
            assert key in known or key not in self.living or not holder.done, key

    def _one_create_for_each_intent(self) -> None:
        labels = [label for hostup in self.hostups.values() for label in hostup.labels]
        assert len(set(labels)) == len(labels)

    def _keys_live_through_their_grace(self) -> None:
        gone = {key: at for key, at in self.replaced.items() if key not in self.living}
        early = {key for key, replaced_at in gone.items() if self.clock.now() < replaced_at + GRACE}
        assert not early or early <= self._without_grace()

    def _secrets_are_only_where_they_may_be(self, record: Record | None) -> None:
        staged = record.rotation.key.access_key if record and record.rotation and record.rotation.key else None
        text = json.dumps(self.vault.latest(STATE) or {})
        assert all(f'"secret-of-{key}"' not in text for key in self.made if key != staged)

    def _no_worker_broke(self) -> None:
        for worker in self.workers:
            assert worker.error is None or isinstance(worker.error, RotatorError | Killed), repr(worker.error)


class EverythingEnds(Interleavings):
    """The same, and at the end: left alone, one worker brings everything to rest, and no key is left over."""

    def teardown(self) -> None:
        super().teardown()
        self.workers = []
        for _ in range(40):
            self.clock.time += timedelta(seconds=20)
            try:
                reconcile(self.services, self.target)
            except RotatorError as error:
                raise AssertionError(f"a look failed although all is well: {error}") from error
            self.the_promises_hold()
        record = self._record()
        assert record is not None
        blocked = sum(create.open and not create.harmless for create in record.unconfirmed_creates) > 2
        assert blocked or record.current is not None
        assert blocked or (record.rotation is None and record.failure is None), "a target that is well looks as if not"
        orphans = [key for key in self.made if key in self.living and key not in record.keys_on_record()]
        told = sum(entry.event == "create.unconfirmed" for entry in entries(self.services.store, "media"))
        assert len(orphans) <= told, "a key is left over that nobody was told of"
        assert not [k for k in record.retiring if k.deleted_at and self.can_be_proven(record, k)]

    def can_be_proven(self, record: Record, key: RetiringKey) -> bool:
        """Whether a deleted key can be seen to be dead: by another one at the same gateway, or its own secret."""
        return key.vault_version is not None or (record.current is not None and record.current.account == key.account)


CALM = settings(
    max_examples=60,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = CALM
TestEverythingEnds = EverythingEnds.TestCase
TestEverythingEnds.settings = CALM
