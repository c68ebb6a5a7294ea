"""What happens to the servers and workers, at random from the seed; all in the main thread, one thing after another."""

from __future__ import annotations

import heapq
import itertools
import random
import signal
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from tests.chaos_run.accounts import ACCOUNTS
from tests.chaos_run.api_key import Roller
from tests.chaos_run.herd import Herd
from tests.chaos_run.hostile import Writer
from tests.chaos_run.hostup import HostUp
from tests.chaos_run.strangers import Strangers
from tests.chaos_run.world import World
from worker.service.celery_app import make_app

Act = Callable[[], None]
KEPT_REQUESTS = 50
KILLED = 0.25
"""Of the rolls by command."""


@dataclass(frozen=True, slots=True, order=True)
class Planned:
    """Something that is to be done at a time (monotonic seconds)."""

    at: float
    order: int
    act: Act = field(compare=False)


@dataclass(slots=True)
class Storm:
    """Strikes until the calm. ``struck`` counts by kind."""

    world: World
    dice: random.Random
    struck: Counter[str] = field(default_factory=Counter)
    requests: list[tuple[str, str]] = field(default_factory=list)
    _plan: list[Planned] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _vault_busy: bool = False
    herd: Herd = field(init=False)
    strangers: Strangers = field(init=False)
    writer: Writer = field(init=False)
    hostup: HostUp = field(init=False)
    roller: Roller = field(init=False)

    def __post_init__(self) -> None:
        """All draw from the same dice."""
        self.herd = Herd(self.world, self.dice, self.struck, self._later)
        self.strangers = Strangers(self.world, self.dice, self.struck)
        self.writer = Writer(self.world, self.dice)
        self.hostup = HostUp(self.world, self.dice, self.struck, self._later)
        self.roller = Roller(self.world)

    def begin(self) -> None:
        """Plan the first strike of each kind; each then plans its next."""
        for strike, mean in self._strikes().items():
            self._again(strike, mean)

    def blow(self, until: Callable[[], bool]) -> None:
        """Do what is planned, when it is time, until something is true."""
        while not until():
            if self._plan and self._plan[0].at <= time.monotonic():
                heapq.heappop(self._plan).act()
            else:
                time.sleep(0.05)

    def calm(self) -> None:
        """End everything: what was taken away is given back, and nothing more is planned."""
        self._plan.clear()
        self.hostup.calm()
        self.world.vault.process.send_signal(signal.SIGCONT)
        if self.world.vault.admin.health() == 503:  # sealed
            self.world.vault.unseal()
        self.world.give_rights()
        self.herd.wake_all()
        self.roller.end()

    def _strikes(self) -> dict[Callable[[], None], float]:
        """Each kind with the seconds between two of its strikes, on average."""
        return {
            **{partial(self.hostup.weather, account): 3.0 for account in ACCOUNTS},
            self.hostup.outage: 20.0,
            self._roll_api_key: 8.0,
            self._message_twice: 1.0,
            self._message_again: 2.0,
            self.herd.kill: 4.0,
            self.herd.stop: 12.0,
            self.herd.freeze: 6.0,
            self._pause_vault: 10.0,
            self._seal_vault: 25.0,
            self._withdraw_rights: 30.0,
            self._restart_redis: 25.0,
            self._kill_redis: 30.0,
            self._flush_redis: 20.0,
            self._stranger: 5.0,
            self._hostile_writer: 4.0,
            self.herd.look_after: 2.0,
            self._take_snapshot: 15.0,
            self._set_vault_back: 120.0,
        }

    def _again(self, strike: Act, mean: float) -> None:
        def act() -> None:
            strike()
            self._again(strike, mean)

        self._later(self.dice.expovariate(1 / mean), act)

    def _later(self, seconds: float, act: Act) -> None:
        heapq.heappush(self._plan, Planned(time.monotonic() + seconds, next(self._numbers), act))

    # -- the API key

    def _roll_api_key(self) -> None:
        """The command; now and then it is killed at some point."""
        running = self.roller.ask()
        self.struck["API key asked to be rolled"] += 1
        if self.dice.random() < KILLED:
            self._later(self.dice.uniform(0.3, 1.0) * self.roller.took, lambda: self._kill(running))

    def _kill(self, running: subprocess.Popen[bytes]) -> None:
        self.struck["roll of the API key killed"] += self.roller.kill(running)

    # -- messages

    def _message_twice(self) -> None:
        request = (str(uuid.UUID(int=self.dice.getrandbits(128))), self.dice.choice(self.world.targets).name)
        self.requests = [*self.requests[-KEPT_REQUESTS:], request]
        self._send(request)
        self._send(request)
        self.struck["message sent twice"] += 1

    def _message_again(self) -> None:
        if self.requests:
            self._send(self.dice.choice(self.requests))
            self.struck["old message sent again"] += 1

    def _send(self, request: tuple[str, str]) -> None:
        app = make_app(self.world.valkey.url)
        try:
            with suppress(Exception):  # whatever kombu raises when Redis is away just now: then nobody asked
                app.send_task("rotator.rotate", args=[request[1], "chaos"], task_id=request[0], retry=False)
        finally:
            app.close()

    # -- Vault

    def _pause_vault(self) -> None:
        self._hurt_vault(
            "Vault paused",
            lambda: self.world.vault.process.send_signal(signal.SIGSTOP),
            lambda: self.world.vault.process.send_signal(signal.SIGCONT),
        )

    def _seal_vault(self) -> None:
        self._hurt_vault("Vault sealed", self.world.vault.seal, self.world.vault.unseal)

    def _withdraw_rights(self) -> None:
        self._hurt_vault("Vault denied", lambda: self.world.give_rights(all_of_them=False), self.world.give_rights)

    def _hurt_vault(self, kind: str, hurt: Act, heal: Act) -> None:
        if self._vault_busy:
            return
        self._vault_busy = True
        hurt()
        self.struck[kind] += 1

        def well() -> None:
            heal()
            self._vault_busy = False

        self._later(self.dice.uniform(0.3, 4.0), well)

    # -- strangers

    def _stranger(self) -> None:
        if not self._vault_busy:
            self.strangers.strike_any()

    def _take_snapshot(self) -> None:
        if not self._vault_busy:
            self.strangers.take_snapshot()

    def _set_vault_back(self) -> None:
        """With no worker at work, as docs/operate.md says; the person who looks after it writes nothing either."""
        if self._vault_busy:
            return
        with self.world.nobody_writes:
            self.herd.kill_all()
            self.strangers.set_back()
            self.world.give_rights()
        self.world.start_all()

    # -- Redis

    def _hostile_writer(self) -> None:
        self.struck[self.writer.strike()] += 1

    def _restart_redis(self) -> None:
        self.world.valkey = self.world.valkey.restart()
        self.struck["Redis restarted"] += 1

    def _kill_redis(self) -> None:
        self.world.valkey.kill()
        self.world.valkey = self.world.valkey.restart()
        self.struck["Redis killed"] += 1

    def _flush_redis(self) -> None:
        with self.world.redis() as client:
            client.flushall()
        self.struck["Redis flushed"] += 1
