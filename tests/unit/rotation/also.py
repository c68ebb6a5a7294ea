"""A world with copies of the app's secret: one in the same mount, one in another Vault."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tests.doubles import Gate, MemoryVault
from tests.worlds import TARGET, Small
from worker.errors import VaultDenied
from worker.rotation.lending import Lend, freely
from worker.rotation.ports import NOTHING_SEEN, Seen
from worker.rotation.reconcile import LookResult
from worker.rotation.record import CurrentKey
from worker.rotation.services import Destination
from worker.targets.location import Location
from worker.targets.target import Target

T = TypeVar("T")

HERE = Location("apps/media-copy")
EU = Location("apps/object-storage", "eu")
ALSO = replace(TARGET, also=(HERE, EU))
PLACES = (TARGET.path, HERE.name, EU.name)


@dataclass
class Trouble(Gate):
    """Has every call whose name begins with any of these be refused, or lost before its effect or after it."""

    denied: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    lost_after: tuple[str, ...] = ()
    before: dict[str, Callable[[], object]] = field(default_factory=dict)
    """What happens once, just before a call of this name."""
    calls: list[str] = field(default_factory=list)

    def pass_through(self, name: str, effect: Callable[[], T], lost: Callable[[], Exception]) -> T:
        self.calls.append(name)
        if name in self.before:
            self.before.pop(name)()
        if name.startswith(self.denied or ("\0",)):
            raise VaultDenied("Vault denied it", operation="any", path="any", status=403)
        if name.startswith(self.lost or ("\0",)):
            raise lost()
        result = effect()
        if name.startswith(self.lost_after or ("\0",)):
            raise lost()
        return result


@dataclass
class Also(Small):
    """One target with two copies, before its first rotation. BY-HAND is a key of somebody else."""

    eu: MemoryVault = field(default_factory=MemoryVault)
    here: Trouble = field(default_factory=Trouble)
    there: Trouble = field(default_factory=Trouble)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.vault.gate, self.eu.gate = self.here, self.there
        self.services = replace(self.services, destinations={"eu": Destination(self.eu, "kv")})
        self.targets = {ALSO.name: ALSO}
        self.hostup.living["BY-HAND"] = "before"

    def look(
        self, target: Target = ALSO, *, watching: bool = False, seen: Seen = NOTHING_SEEN, lend: Lend = freely
    ) -> LookResult:
        return super().look(target, watching=watching, seen=seen, lend=lend)

    def watch(self, times: int = 1) -> None:
        for _ in range(times):
            self.look(watching=True)
            self.passes(seconds=6)

    @property
    def current(self) -> CurrentKey:
        current = self.record().current
        assert current is not None
        return current

    def secrets(self) -> dict[str, Mapping[str, object]]:
        """What stands at each place now; nothing where nothing does."""
        return {
            TARGET.path: self.vault.latest(TARGET.path) or {},
            HERE.name: self.vault.latest(HERE.path) or {},
            EU.name: self.eu.latest(EU.path) or {},
        }

    def published(self) -> dict[str, object]:
        """The key that each place publishes."""
        return {place: secret.get("access_key") for place, secret in self.secrets().items()}

    def events(self) -> list[str]:
        return [entry.event for entry in self.record().history.entries()]

    def has_eu_away(self, *, away: bool = True) -> None:
        self.there.lost = ("vault",) if away else ()


def everywhere(access_key: str) -> dict[str, object]:
    return dict.fromkeys(PLACES, access_key)
