"""Promise 9, under any order of calls: strangers delete keys and secrets and write over them, and workers are killed.

The worlds of :mod:`tests.property.test_interleavings`, with strangers in them. Left alone at the end, with a look in
each interval, apps read a key that works, or a person was told why not; and nothing of somebody else is written over.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tests.doubles import MemoryHostUp, MemoryStorage, Player
from tests.property.test_interleavings import APP, CALM, POLICY, STATE, Interleavings
from worker.errors import RotatorError
from worker.rotation.changes.watch import HEALINGS_PER_DAY, healings_of
from worker.rotation.reconcile import reconcile
from worker.rotation.record import Record, TroubleKind
from worker.rotation.trace import entries
from worker.targets.schedule import Schedule

WATCH_EVERY = timedelta(seconds=100)
CHANGES: list[dict[str, Any]] = [
    {"access_key": "THEIRS", "secret_key": "theirs"},
    {"secret_key": "another"},
    {"endpoint": "https://elsewhere"},
    {"rotation_id": "theirs"},
    {"bucket": "added"},
]
STRIKES = ["a key", "deletes", "destroys", "forgets", *map(str, range(len(CHANGES)))]


class Strangers(Interleavings):
    """Up to three workers on one target, and strangers who do as they like."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: set[str] = set()
        self.theirs: dict[int, Any] = {}

    @property
    def hostup(self) -> MemoryHostUp:
        (only,) = self.hostups.values()
        return only

    @precondition(lambda self: sum(not worker.done for worker in self.workers) < 3)
    @rule()
    def a_worker_watches(self) -> None:
        self.workers.append(Player(self.stage, self.watch))

    def watch(self) -> None:
        reconcile(self.services, self.target, watching=True)

    @rule(which=st.integers(0, 3))
    def a_stranger_deletes_a_key(self, which: int) -> None:
        living = [key for key in self.made if key in self.living]
        if living:
            key = living[::-1][which % len(living)]
            del self.hostup.living[key]
            self.taken.add(key)

    @rule(how=st.sampled_from(["deletes", "destroys", "forgets"]))
    def a_stranger_takes_the_secret(self, how: str) -> None:
        if not self.vault.latest(APP) or not self.vault.latest(STATE):
            return
        if how == "deletes":
            self.vault.soft_delete(APP)
        elif how == "destroys":
            self.vault.destroy(APP, len(self.vault.versions[APP]))
        else:
            self.vault.forget(APP)
            self.theirs.clear()

    @rule(change=st.sampled_from(CHANGES))
    def a_stranger_writes_over_the_secret(self, change: dict[str, Any]) -> None:
        secret = self.vault.latest(APP)
        if secret and secret["access_key"] in self.made:
            self.vault.versions[APP].append({**secret, **change})
            if "access_key" in change:
                self.theirs[len(self.vault.versions[APP])] = change["access_key"]

    def _no_published_key_is_deleted(self, app: Any) -> None:
        """By the workers; and what somebody else wrote stands for ever, unless somebody takes it away."""
        assert app is None or app["access_key"] in {"THEIRS", *self.living, *self.taken}
        versions = self.vault.versions.get(APP, [])
        last = max(self.theirs, default=0)
        assert len(versions) <= last or not last or versions[last - 1] is None, "a stranger's version was written over"

    def _note_publication(self, app: Any) -> None:
        if app is None or app["access_key"] in self.made:
            super()._note_publication(app)

    def _keys_live_through_their_grace(self) -> None:
        """Of those that no stranger took away."""
        self.replaced = {key: moment for key, moment in self.replaced.items() if key not in self.taken}
        super()._keys_live_through_their_grace()

    def _only_own_keys_are_deleted(self) -> None:
        assert set(self.hostup.asked_to_delete) <= set(self.made)
        assert "FOREIGN" in self.living


class WhatDiesIsReplaced(Strangers):
    """The same, and at the end, left alone with a watch in each interval: apps can work, or a person knows why not.

    Then a last stranger comes, and it is so again, although no rotation is due for a year.
    """

    strike = ""

    @initialize(rotated_before=st.booleans(), strike=st.sampled_from(STRIKES))
    def a_foreign_key_exists(self, *, rotated_before: bool, strike: str) -> None:
        super().a_foreign_key_exists(rotated_before=rotated_before)
        self.strike = strike

    def teardown(self) -> None:
        super().teardown()
        self.workers = []
        for _ in range(6):
            self._looks_for(WATCH_EVERY)
        self.clock.time += timedelta(days=1)  # three healings a day; then a person has said that it goes on
        for _ in range(4):
            self._looks_for(WATCH_EVERY)
        self._apps_can_work_or_it_is_told()
        self.target = replace(self.target, schedule=Schedule(every=timedelta(days=400)))
        self._strike()
        for _ in range(3):
            self._looks_for(WATCH_EVERY)
        self._apps_can_work_or_it_is_told()

    def _strike(self) -> None:
        record = self._record()
        if self.strike.isdecimal():
            self.a_stranger_writes_over_the_secret(CHANGES[int(self.strike)])
        elif self.strike != "a key":
            self.a_stranger_takes_the_secret(self.strike)
        elif record and record.current and record.current.access_key in self.living:
            del self.hostup.living[record.current.access_key]
            self.taken.add(record.current.access_key)

    def _apps_can_work_or_it_is_told(self) -> None:
        record, secret = self._record(), self.vault.latest(APP)
        assert record is not None
        if sum(create.open and not create.harmless for create in record.unconfirmed_creates) > 2:
            return  # a person has to look, and is told
        assert record.current is not None
        assert self._works(secret) or self._is_told(record, self.clock.now()), (secret, record.trouble)

    def _looks_for(self, time: timedelta) -> None:
        """One watch, and looks at each tick that the target asks for."""
        until, watching = self.clock.now() + time, True
        while self.clock.now() < until:
            try:
                found = reconcile(self.services, self.target, watching=watching)
            except RotatorError as error:
                raise AssertionError(f"a look failed although all is well: {error}") from error
            watching = False
            self.the_promises_hold()
            self.clock.time = min(max(found.wait.until, self.clock.now() + POLICY.tick), until)

    def _works(self, secret: Any) -> bool:
        """As an app would find out."""
        storage: MemoryStorage = self.services.at("default").storage  # type: ignore[assignment]
        return bool(
            secret
            and secret["access_key"] in self.living
            and secret["secret_key"] == f"secret-of-{secret['access_key']}"
            and secret["endpoint"] == storage.endpoint
        )

    def _is_told(self, record: Record, now: datetime) -> bool:
        told = {entry.event for entry in entries(self.services.store, "media")}
        trouble = record.trouble
        if trouble and trouble.confirmed and trouble.kind is TroubleKind.OVERWRITTEN:
            return "conflict.found" in told
        return len(healings_of(record, now)) >= HEALINGS_PER_DAY


TestStrangers = Strangers.TestCase
TestStrangers.settings = CALM
TestWhatDiesIsReplaced = WhatDiesIsReplaced.TestCase
TestWhatDiesIsReplaced.settings = settings(CALM, max_examples=100)
