"""A world of doubles with one target, for tests of what lies above the ports."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from tests.doubles import MemoryClock, MemoryHostUp, MemoryStorage, MemoryVault, at, one_account
from worker.rotation.lending import Lend, freely
from worker.rotation.ports import NOTHING_SEEN, Seen
from worker.rotation.reconcile import LookResult, reconcile
from worker.rotation.record import Record, decode, encode
from worker.rotation.records import RecordStore
from worker.rotation.services import Policy, Services
from worker.targets.fields import PRESETS
from worker.targets.schedule import Schedule
from worker.targets.target import Target

STATE = "state"
MEDIA = "media"
"""A second account."""

SLACK = timedelta(seconds=30)
TARGET = Target(
    name="media",
    label="{target} {rotation_id}",
    path="apps/media",
    schedule=Schedule(every=timedelta(days=30), jitter=timedelta(seconds=1)),
    grace=timedelta(days=1),
    fields=PRESETS["plain"],
)
POLICY = Policy(
    mount="secret",
    lease=timedelta(seconds=30),
    create_deadline=timedelta(seconds=10),
    verify_within=timedelta(seconds=20),
    dead_within=timedelta(minutes=20),
    tick=timedelta(seconds=5),
)


@dataclass
class Small:
    """The parts, and the world made of them."""

    clock: MemoryClock = field(default_factory=MemoryClock)
    vault: MemoryVault = field(default_factory=MemoryVault)
    hostup: MemoryHostUp = field(default_factory=MemoryHostUp)

    def __post_init__(self) -> None:
        self.storage = MemoryStorage(self.hostup)
        self.store = RecordStore(self.vault, STATE, self.clock)
        self.services = Services(
            accounts=one_account(self.hostup, self.storage),
            vault=self.vault,
            store=self.store,
            clock=self.clock,
            policy=POLICY,
        )
        self.targets = {TARGET.name: TARGET}

    def look(
        self, target: Target = TARGET, *, watching: bool = False, seen: Seen = NOTHING_SEEN, lend: Lend = freely
    ) -> LookResult:
        return reconcile(self.services, target, watching=watching, seen=seen, lend=lend)

    def passes(self, **time: float) -> None:
        self.clock.time += timedelta(**time)

    def record(self, name: str = TARGET.name) -> Record:
        return decode(self.vault.latest(f"{STATE}/{name}") or {}, name)

    def put(self, record: Record) -> None:
        """Have a record be as a test needs it."""
        path = f"{STATE}/{record.target}"
        self.vault.versions.setdefault(path, []).append(encode(record))

    def alter(self, **changes: object) -> None:
        """Change some fields of the target's record."""
        self.put(replace(self.record(), **changes))  # type: ignore[arg-type]  # a test names fields that exist


@dataclass
class TwoAccounts(Small):
    """The same with a second account, called media; each has a key that somebody made by hand."""

    other: MemoryHostUp = field(default_factory=lambda: MemoryHostUp(prefix="MK"))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.other_storage = MemoryStorage(self.other, endpoint="http://127.0.0.1:2")
        self.services = replace(
            self.services, accounts={**self.services.accounts, MEDIA: at(self.other, self.other_storage)}
        )
        for hostup in (self.hostup, self.other):
            hostup.living[f"{hostup.prefix}-BY-HAND"] = "made by hand"

    def without(self, account: str) -> None:
        """An account is taken out of the configuration."""
        left = {name: each for name, each in self.services.accounts.items() if name != account}
        self.services = replace(self.services, accounts=left)
