"""The promises of copies of an app's secret, under any order of calls, crashes, and trouble at one of the places.

The worlds of :mod:`tests.property.test_interleavings`, with a copy in the same mount and one in another Vault, which
may be away or deny everything, while strangers write and delete there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.doubles import Gate, MemoryVault, Player
from tests.property.test_interleavings import APP, CALM, GRACE, TARGET, Interleavings
from worker.errors import RotatorError, VaultDenied, VaultUnavailable
from worker.rotation.reconcile import reconcile
from worker.rotation.services import Destination
from worker.rotation.trace import entries
from worker.targets.location import Location

T = TypeVar("T")

HERE, EU = Location("apps/copy"), Location("apps/far", "eu")
THEIRS = {"access_key": "THEIRS", "secret_key": "theirs"}
MOODS = ["well", "well", "away", "denied", "writes denied"]


class Moody(Gate):
    """A Vault that is as it likes, before any call gets to the gate of all."""

    def __init__(self, inner: Gate) -> None:
        self.inner = inner
        self.mood = "well"

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        if self.mood == "away":
            raise VaultUnavailable("it is away", operation="any", path="any")
        if self.mood == "denied" or (self.mood == "writes denied" and not name.startswith("vault read")):
            raise VaultDenied("it is denied", operation="any", path="any", status=403)
        return self.inner.pass_through(name, effect, lost)


class Copies(Interleavings):
    """Up to three workers on one target with two copies."""

    target = replace(TARGET, also=(HERE, EU))

    def __init__(self) -> None:
        super().__init__()
        self.gate = Moody(self.stage)
        self.eu = MemoryVault(self.gate)
        self.services = replace(self.services, destinations={"eu": Destination(self.eu, "kv")})
        self.read_at: dict[str, str] = {}
        self.replaced_at: dict[tuple[str, str], datetime] = {}
        self.theirs: dict[str, int] = {}

    @rule(mood=st.sampled_from(MOODS))
    def the_other_vault_has_a_mood(self, mood: str) -> None:
        self.gate.mood = mood

    @precondition(lambda self: sum(not worker.done for worker in self.workers) < 3)
    @rule()
    def a_worker_watches(self) -> None:
        self.workers.append(Player(self.stage, lambda: reconcile(self.services, self.target, watching=True)))

    @rule(place=st.sampled_from([HERE, EU]))
    def a_stranger_writes_over_a_copy(self, place: Location) -> None:
        versions = self._vault(place).versions.setdefault(place.path, [])
        versions.append(dict(THEIRS))
        self.theirs[place.name] = len(versions)

    @rule(place=st.sampled_from([HERE, EU]))
    def a_stranger_deletes_a_copy(self, place: Location) -> None:
        if self._vault(place).latest(place.path):
            self._vault(place).soft_delete(place.path)
        self.theirs.pop(place.name, None)

    def _vault(self, place: Location) -> MemoryVault:
        return self.eu if place.destination else self.vault

    def _places(self) -> Mapping[str, Any]:
        copies = {place.name: self._vault(place).latest(place.path) for place in (HERE, EU)}
        return {APP: self.vault.latest(APP), **copies}

    def _note_publication(self, app: Any) -> None:
        super()._note_publication(app)
        now = self.clock.now()
        for place, secret in self._places().items():
            key = secret["access_key"] if secret else ""
            before = self.read_at.get(place, "")
            if key != before:
                self.read_at[place] = key
                self.replaced_at.pop((place, key), None)
                if before:
                    self.replaced_at[place, before] = now

    def _no_published_key_is_deleted(self, app: Any) -> None:
        super()._no_published_key_is_deleted(app)
        for place, secret in self._places().items():
            assert not secret or secret["access_key"] in {"THEIRS", *self.living}, place

    def _keys_live_through_their_grace(self) -> None:
        """Counted from when the last of the places had another key, unless a stranger took it away there."""
        now, ended = self.clock.now(), self._without_grace()
        for (place, key), replaced in self.replaced_at.items():
            if key in self.made and key not in self.living and self.read_at[place] in self.made:
                assert now >= replaced + GRACE or key in ended, (place, key)

    def _one_create_for_each_intent(self) -> None:
        super()._one_create_for_each_intent()
        record = self._record()
        if record and record.current:
            on_record = {copy.location: copy.version for copy in record.current.copies}
            assert on_record.keys() == {HERE.name, EU.name}, "it is published although a copy does not have it"
            for place in (HERE, EU):
                held = self._vault(place).versions[place.path][on_record[place.name] - 1]
                assert held is None or held["access_key"] == record.current.access_key
        for place in (HERE, EU):
            version = self.theirs.get(place.name)
            versions = self._vault(place).versions.get(place.path, [])
            assert version is None or len(versions) == version, f"what somebody else wrote at {place.name} is gone"


class CopiesEnd(Copies):
    """The same, and at the end, once all is well everywhere: every place has the current key, and no key is left."""

    def teardown(self) -> None:
        super().teardown()
        self.workers = []
        self.gate.mood = "well"
        for place in (HERE, EU):
            if place.name in self.theirs:
                self._vault(place).soft_delete(place.path)
                self.theirs.pop(place.name)
        for _ in range(40):
            self.clock.time += timedelta(seconds=20)
            try:
                reconcile(self.services, self.target, watching=True)
            except RotatorError as error:
                raise AssertionError(f"a look failed although all is well: {error}") from error
            self.the_promises_hold()
        record = self._record()
        assert record is not None
        if sum(create.open and not create.harmless for create in record.unconfirmed_creates) > 2:
            return  # a person has to look
        assert record.current is not None
        assert record.rotation is None
        assert record.failure is None
        assert record.trouble is None
        places = self._places()
        assert {secret and secret["access_key"] for secret in places.values()} == {record.current.access_key}
        orphans = [key for key in self.made if key in self.living and key not in record.keys_on_record()]
        told = sum(entry.event == "create.unconfirmed" for entry in entries(self.services.store, "media"))
        assert len(orphans) <= told


TestCopies = Copies.TestCase
TestCopies.settings = settings(CALM, max_examples=60)
TestCopiesEnd = CopiesEnd.TestCase
TestCopiesEnd.settings = settings(CALM, max_examples=60)
