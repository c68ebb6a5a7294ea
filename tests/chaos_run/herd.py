"""What happens to the workers of a chaos run: killed, stopped, frozen until long after their lease; started anew."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.bench.processes import usage
from tests.chaos_run.world import World

Later = Callable[[float, Callable[[], None]], None]
"""Does something so many seconds later."""


@dataclass(slots=True)
class Herd:
    """The workers. ``kills`` are the moments (seconds since the epoch) at which some lost their life.

    ``died`` counts those that ended by themselves; ``memory`` is the most that any of them took, in MiB.
    """

    world: World
    dice: random.Random
    struck: Counter[str]
    later: Later
    kills: list[float] = field(default_factory=list)
    died: int = 0
    memory: float = 0.0
    _frozen: set[str] = field(default_factory=set)
    _gone: set[str] = field(default_factory=set)

    def kill(self) -> None:
        """Kill -9 one, and start another in its place a little later."""
        name = self._some()
        self.kills.append(time.time())
        self.world.workers[name].kill()
        self._frozen.discard(name)
        self._gone.add(name)
        self.struck["worker killed"] += 1
        self.later(self.dice.uniform(0.0, 2.0), lambda: self._start(name))

    def kill_all(self) -> None:
        """Kill -9 all of them."""
        self.kills.append(time.time())
        self.world.kill_workers()
        self._frozen.clear()
        self._gone.clear()

    def stop(self) -> None:
        """SIGTERM to one, and another in its place at once."""
        name = self._some()
        if name in self._frozen or name in self._gone:
            return
        self.world.workers[name].signal(signal.SIGTERM)
        self.world.ended.append(self.world.workers[name])
        self.struck["worker stopped"] += 1
        self.world.start(name)

    def freeze(self) -> None:
        """SIGSTOP to one, for a part of its lease or a few times as long."""
        name = self._some()
        if name in self._frozen:
            return
        worker = self.world.workers[name]
        worker.signal(signal.SIGSTOP)
        self._frozen.add(name)
        self.struck["worker frozen"] += 1

        def wake() -> None:
            worker.signal(signal.SIGCONT)
            self._frozen.discard(name)

        self.later(self.dice.uniform(0.5, 3.0) * self.world.lease, wake)

    def wake_all(self) -> None:
        """Let every one go on."""
        for worker in (*self.world.workers.values(), *self.world.ended):
            worker.signal(signal.SIGCONT)

    def look_after(self) -> None:
        """Start those that ended by themselves, as systemd does, and see how much memory each takes."""
        for name, worker in list(self.world.workers.items()):
            if worker.alive:
                with suppress(OSError):
                    self.memory = max(self.memory, usage(worker.pid).memory)
            elif name not in self._gone:
                self.died += 1
                self.world.start(name)

    def _some(self) -> str:
        return self.dice.choice(sorted(self.world.workers))

    def _start(self, name: str) -> None:
        self._gone.discard(name)
        if not self.world.workers[name].alive:
            self.world.start(name)
