"""A world with nothing in it but the worker's own API key: a real desk on doubles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from tests.doubles import Gate, Killed, MemoryAccount, MemoryApiKeys, MemoryClock, MemoryHostUp, MemoryVault
from worker.rotation.api_key.decide import Terms
from worker.rotation.api_key.desk import ApiKeyDesk
from worker.rotation.api_key.place import KeyPlace
from worker.rotation.api_key.record import ApiKeyRecord, Phase
from worker.rotation.api_key.store import ApiKeyStore
from worker.rotation.api_key.tend import Wish, tend
from worker.rotation.ports import ApiKeyGrants
from worker.secret import Secret

PATH = "rotator/hostup"
RECORD = "state/_api_key"
RESCUED = "state/_api_key_rescued"
FIRST = {"api_key": "api-key-number-0", "key_id": "key_0", "note": "of a person's"}
LEASE, TICK = timedelta(minutes=2), timedelta(seconds=5)
TERMS = Terms(every=None, lease=LEASE, tick=TICK, place=f"secret/{PATH}")
BOOTSTRAP = "bootstrap-key-0"


T = TypeVar("T")
Fate = Exception | str
"""How a call goes: an error, or ``well``, ``lost before``, ``lost after``, ``killed before``, ``killed after``."""


class Failing(Gate):
    """Has the calls whose names begin so go as is said, one after the other; all others go well."""

    def __init__(self, fates: Mapping[str, Sequence[Fate]]) -> None:
        self._fates = {name: list(each) for name, each in fates.items()}

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        fates: list[Fate] = next((each for known, each in self._fates.items() if name.startswith(known)), [])
        return come_to(fates.pop(0) if fates else "well", effect, lost)


def come_to(fate: Fate, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
    """A call that ends so."""
    if isinstance(fate, Exception):
        raise fate
    if fate == "killed before":
        raise Killed
    if fate == "lost before":
        raise lost()
    result = effect()
    if fate == "killed after":
        raise Killed
    if fate == "lost after":
        raise lost()
    return result


@dataclass
class KeyWorld:
    """The parts, and a desk made of them; ``tell`` is every secret that the redaction was given."""

    clock: MemoryClock = field(default_factory=MemoryClock)
    vault: MemoryVault = field(default_factory=MemoryVault)
    hostup: MemoryApiKeys = field(default_factory=MemoryApiKeys)
    terms: Terms = TERMS
    told: list[str] = field(default_factory=list)
    grants: ApiKeyGrants = field(default_factory=lambda: ApiKeyGrants(scopes=("configured:scope",)))

    def __post_init__(self) -> None:
        self.vault.versions[PATH] = [dict(FIRST)]

    @property
    def desk(self) -> ApiKeyDesk:
        """That of a worker that has just started."""
        store = ApiKeyStore(self.vault, "state", "default", self.clock)
        place = KeyPlace(
            self.vault, "secret", PATH, store, self.clock, lambda secret: self.told.append(secret.reveal())
        )
        account = MemoryAccount(MemoryHostUp())
        desk = ApiKeyDesk("default", self.hostup, place, store, account, self.clock, self.terms, self.grants)
        return replace(desk, bootstrap=lambda: Secret(BOOTSTRAP)) if self.terms.bootstrap else desk

    def with_bootstrap(self) -> KeyWorld:
        """The same with a key that makes another one."""
        self.terms = replace(self.terms, bootstrap=True)
        self.hostup.living[BOOTSTRAP] = "key_bootstrap"
        return self

    def roll(self) -> ApiKeyRecord:
        """A person wants it rolled."""
        return tend(self.desk, Wish("anna@host"))

    def look(self) -> ApiKeyRecord:
        """A worker's tick."""
        return tend(self.desk)

    def rest(self, pause: timedelta = TICK) -> ApiKeyRecord:
        """Ticks, until nothing is under way."""
        for _ in range(400):
            record = self.look()
            if record.phase in (Phase.IDLE, Phase.LOST):
                return record
            self.clock.time += pause
        raise AssertionError(f"it never came to rest: {record}")

    @property
    def in_vault(self) -> dict[str, Any]:
        return dict(self.vault.latest(PATH) or {})

    @property
    def works(self) -> bool:
        """Whether HostUp takes the key that is in Vault."""
        return self.in_vault.get("api_key") in self.hostup.living

    def events(self) -> list[str]:
        return [entry.event for entry in self.desk.store.load().record.history.entries()]
