"""``retire = "when-unused"``: whatever lies where apps leave receipts, a key is deleted in its time.

Not before its grace is over, not later than the cap, and not while an honest reader still uses it. All by the real
``reconcile`` on doubles; what is judged is what HostUp deleted, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doubles import MemoryVault
from tests.records import request
from tests.worlds import SLACK, TARGET, Small
from worker.errors import VaultDenied, VaultUnavailable
from worker.rotation.audit import audit
from worker.rotation.in_use import SELDOM
from worker.rotation.ports import Document
from worker.rotation.reconcile import accept
from worker.targets.receipts import GONE_AFTER, RECEIPTS_PATH, Receipt, encode, with_receipt

HOUR = timedelta(hours=1)
GRACE, CAP = timedelta(days=1), timedelta(days=3)
CAREFUL = replace(TARGET, grace=GRACE, retire_cap=CAP)
PATH = f"{RECEIPTS_PATH}/{TARGET.path}"
FOREIGN = "FOREIGN"


class Watched(Small):
    """A world in which a key was replaced, and that looks at the target whenever it wants to be looked at."""

    def begin(self) -> None:
        self.hostup.living[FOREIGN] = "somebody's"
        self.look(CAREFUL)
        self.old = self.current
        self.passes(days=2)
        accept(self.services, CAREFUL, request("again", self.clock.now()))
        self.look(CAREFUL)
        self.replaced_at = self.clock.now()
        assert self.current != self.old

    @property
    def current(self) -> str:
        current = self.record().current
        assert current
        return current.access_key

    @property
    def is_deleted(self) -> bool:
        return self.old not in self.hostup.living

    def says(self, data: Mapping[str, object]) -> None:
        self.vault.versions.setdefault(PATH, []).append(data)

    def used(self, access_key: str, reader: str = "web-1 endpoint") -> None:
        now = self.clock.now()
        self.says(with_receipt(self.vault.latest(PATH) or {}, Receipt(reader, access_key, 1, "r", now, now)))

    def go_to(self, end: datetime) -> None:
        """Look when the target asks for it, as the due set has workers do."""
        while self.clock.now() < end:
            wanted = self.look(CAREFUL).wait.until
            self.clock.time = min(end, max(wanted, self.clock.now() + timedelta(seconds=1)))
        self.look(CAREFUL)

    @property
    def age(self) -> timedelta:
        """For how long the old key has been replaced."""
        return self.clock.now() - self.replaced_at


@pytest.fixture
def world() -> Watched:
    made = Watched()
    made.begin()
    return made


def test_without_receipts_a_key_goes_when_its_grace_is_over(world: Watched) -> None:
    world.go_to(world.replaced_at + GRACE - SLACK)
    assert not world.is_deleted
    world.go_to(world.replaced_at + GRACE + SLACK)
    assert world.is_deleted


def test_a_key_lives_while_a_reader_uses_it_and_goes_soon_after_it_has_moved(world: Watched) -> None:
    while world.age < GRACE + 6 * HOUR:
        world.used(world.old)
        world.go_to(world.clock.now() + HOUR / 2)
    assert not world.is_deleted
    waits = world.look(CAREFUL).wait.why
    assert waits == f"access key {world.old} to be deleted: still in use by web-1 endpoint"
    world.used(world.current)
    world.go_to(world.clock.now() + HOUR / 2 - SLACK)
    assert not world.is_deleted, "programs behind the reader may have it for half an hour"
    world.go_to(world.clock.now() + SLACK + SELDOM)
    assert world.is_deleted


def test_a_host_that_is_gone_holds_no_key(world: Watched) -> None:
    world.go_to(world.replaced_at + GRACE - HOUR / 2)
    world.used(world.old)
    world.go_to(world.clock.now() + GONE_AFTER - SLACK)
    assert not world.is_deleted
    world.go_to(world.clock.now() + SLACK + SELDOM)
    assert world.is_deleted


def test_no_reader_holds_a_key_for_longer_than_the_cap(world: Watched) -> None:
    while world.age < CAP - HOUR:
        world.used(world.old)
        world.go_to(world.clock.now() + HOUR / 2)
    assert not world.is_deleted
    world.used(world.old)
    world.go_to(world.replaced_at + CAP)
    assert world.is_deleted


def test_an_audit_expects_a_key_in_use_to_be_there_until_the_cap(world: Watched) -> None:
    def told() -> list[str]:
        findings = audit(world.services, {TARGET.name: CAREFUL}, SLACK).findings
        return [finding.what for finding in findings if finding.kind == "alive"]

    world.clock.time = world.replaced_at + CAP - SLACK
    assert told() == []
    world.clock.time = world.replaced_at + CAP + 2 * SLACK
    assert [what for what in told() if world.old in what]


class Refusing:
    """A Vault that does not let receipts be read."""

    def __init__(self, vault: MemoryVault, error: Exception) -> None:
        self._vault = vault
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vault, name)

    def read(self, path: str, at_least: int = 0) -> Document:
        if path == PATH:
            raise self._error
        return self._vault.read(path, at_least)


def test_where_receipts_may_not_be_read_the_key_stays_until_the_cap(world: Watched) -> None:
    error = VaultDenied("permission denied", operation="read", path=PATH, status=403)
    object.__setattr__(world.services, "vault", Refusing(world.vault, error))
    world.go_to(world.replaced_at + CAP - SLACK)
    assert not world.is_deleted
    assert "their receipts cannot be read" in world.look(CAREFUL).wait.why
    world.go_to(world.replaced_at + CAP)
    assert world.is_deleted


def test_while_vault_is_away_nothing_is_deleted(world: Watched) -> None:
    object.__setattr__(world.services, "vault", Refusing(world.vault, VaultUnavailable("no answer", path=PATH)))
    world.clock.time = world.replaced_at + GRACE + SLACK
    with pytest.raises(VaultUnavailable):
        world.look(CAREFUL)
    assert not world.is_deleted


moments = st.timedeltas(-2 * CAP, 2 * CAP)
names = st.sampled_from(["AK1", "AK2", FOREIGN, "AK3"])
receipts = st.builds(
    lambda key, since, seen, before: (key, since, seen, before), names, moments, moments, st.just("") | names
)
garbage = st.none() | st.integers() | st.text(max_size=20) | st.just("[" * 900) | st.just('{"access_key": "AK1"}')
documents = st.lists(receipts | garbage, max_size=4)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.timedeltas(timedelta(minutes=1), GRACE), documents), max_size=8))
def test_hostile_receipts_neither_shorten_grace_nor_outlive_the_cap(turns: list[tuple[timedelta, list[Any]]]) -> None:
    world = Watched()
    world.begin()
    for after, document in turns:
        now = world.clock.now()
        world.says({f"web-{n}": _text(each, now) for n, each in enumerate(document)})
        world.go_to(now + after)
        assert world.age >= GRACE or not world.is_deleted
        assert world.current in world.hostup.living
        assert FOREIGN in world.hostup.living
    world.go_to(max(world.clock.now(), world.replaced_at + CAP))
    assert world.is_deleted


def _text(each: Any, now: datetime) -> object:
    if not isinstance(each, tuple):
        return each
    access_key, since, seen, before = each
    return encode(Receipt("", access_key, 1, "r", now + since, now + seen, before))


@pytest.mark.parametrize("waited", [HOUR, GRACE + HOUR], ids=["in its grace", "kept beyond its grace"])
def test_a_key_that_leaked_goes_at_once_whoever_uses_it(world: Watched, waited: timedelta) -> None:
    while world.age < waited:
        world.used(world.old)
        world.go_to(world.clock.now() + GONE_AFTER / 2)
    world.used(world.old)
    world.used(world.current, "web-2 endpoint")
    leaked = {world.old, world.current}
    assert leaked <= world.hostup.living.keys()
    accept(world.services, CAREFUL, replace(request("leak", world.clock.now()), leaked=True))
    world.look(CAREFUL)
    assert not leaked & world.hostup.living.keys()
