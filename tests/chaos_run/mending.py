"""Promise 9, in a calm world: what strangers do to what apps read is found, and mended by itself or by who is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos_run.strangers import Strangers, fields_of
from tests.chaos_run.world import World
from worker.selftest.checker import BrokenPromise
from worker.selftest.evidence import Watched
from worker.targets.durations import parse_duration

MACHINE = 60.0
"""Seconds beyond what the settings allow: for a machine that does much else, and for a rotation."""


@dataclass(frozen=True, slots=True)
class Mended:
    """One strike: how long it took until apps could work with what they read; None: never within the time."""

    what: str
    target: str
    seconds: float | None
    told: bool

    def finding(self) -> Iterator[BrokenPromise]:
        """What is wrong with it."""
        if self.seconds is None:
            yield BrokenPromise(9, self.target, f"{self.what}: apps cannot work with what they read")
        if not self.told:
            yield BrokenPromise(9, self.target, f"{self.what}: nobody was told")


def strike_and_wait(world: World, strangers: Strangers) -> list[Mended]:
    """Strike one target in each way, and all that were rotated since a snapshot by a Vault that is set back."""
    kinds = sorted(strangers.strikes)
    targets = _least_healed(world)
    logged = world.log.stat().st_size
    struck = [(kind, target) for kind, target in zip(kinds, targets, strict=False) if strangers.strike(kind, target)]
    return [*_wait(world, struck, logged), *_after_set_back(world, strangers, targets[len(kinds) : len(kinds) + 3])]


def works(world: World, target: Watched) -> bool:
    """Whether an app can work with what stands at its path now."""
    data = world.mount.data(target.path)
    if data is None:
        return False
    key = world.simulator_of(target.name).admin.keys().get(str(data.get(target.key_field)))
    return bool(key and key.exists and key.secret_key == fields_of(target).read(data, "secret_key"))


def _least_healed(world: World) -> list[Watched]:
    """Those first of which the fewest keys died lately: after three in a day a person is needed."""
    records = {target.name: world.mount.record(target.name) or {} for target in world.targets}
    return sorted(world.targets, key=lambda target: len(records[target.name].get("healings", ())))


def _wait(world: World, struck: list[tuple[str, Watched]], logged: int) -> list[Mended]:
    """Wait until all is mended, and see who was told in the log from byte ``logged`` on."""
    began, mended = time.monotonic(), dict[str, float]()
    limit = 2 * parse_duration(world.pace.watch_every).total_seconds() + MACHINE
    while len(mended) < len(struck) and time.monotonic() < began + limit:
        for _, target in struck:
            if target.name not in mended and works(world, target):
                mended[target.name] = time.monotonic() - began
        time.sleep(0.1)
    log = world.log.read_bytes()[logged:].decode()
    return [Mended(what, target.name, mended.get(target.name), _was_told(log, what, target)) for what, target in struck]


_TOLD_BY = {
    "key deleted by a stranger": ("key.died",),
    "secret deleted by a stranger": ("secret.restored", "secret.lost"),
    "secret destroyed by a stranger": ("secret.lost",),
    "secret deleted with its metadata": ("secret.lost",),
    "secret written over by a stranger": ("conflict.found",),
    "Vault set back": ("key.died",),
}


def _was_told(log: str, what: str, target: Watched) -> bool:
    name = f'"target": "{target.name}"'
    return any(name in line and f'"event": "{event}"' in line for line in log.splitlines() for event in _TOLD_BY[what])


def _after_set_back(world: World, strangers: Strangers, targets: list[Watched]) -> list[Mended]:
    """Rotate some targets after a snapshot, let their old keys be deleted, and set Vault back to it."""
    strangers.take_snapshot()
    before = {target.name: world.current(target) for target in targets}
    world.ask_for([target.name for target in targets], "before Vault is set back")
    limit = time.monotonic() + MACHINE
    while any(world.keys()[access_key].exists for access_key in before.values()) and time.monotonic() < limit:
        time.sleep(0.2)
    logged = world.log.stat().st_size
    world.kill_workers()
    done = strangers.set_back()
    world.give_rights()
    world.start_all()
    return _wait(world, [("Vault set back", target) for target in targets] if done else [], logged)
