"""What happens to the accounts at HostUp: each has weather of its own, and now and then one of them is wholly down."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from tests.chaos_run.accounts import ACCOUNTS
from tests.chaos_run.harm import now
from tests.chaos_run.herd import Later
from tests.chaos_run.weather import DOWN, outage, weather
from tests.chaos_run.world import World


@dataclass(slots=True)
class HostUp:
    """All accounts. ``outages`` are those that were wholly down, each from when to when."""

    world: World
    dice: random.Random
    struck: Counter[str]
    later: Later
    outages: list[tuple[str, datetime, datetime]] = field(default_factory=list)
    _down: dict[str, datetime] = field(default_factory=dict)
    _left: list[str] = field(default_factory=list)

    def weather(self, account: str) -> None:
        """Other faults than before, if the account is not down."""
        if account not in self._down:
            admin = self.world.simulators[account].admin
            admin.clear()
            for fault in weather(self.dice):
                admin.order(fault)

    def outage(self) -> None:
        """One account answers everything in the same bad way for a while, each way in turn; the other goes on."""
        if self._down:
            return
        self._left = self._left or self.dice.sample(sorted(DOWN), len(DOWN))
        account, kind = self.dice.choice(ACCOUNTS), self._left.pop()
        self._down[account] = now()
        self.world.simulators[account].admin.clear()
        for fault in outage(kind):
            self.world.simulators[account].admin.order(fault)
        self.struck[f"account wholly down: {kind}"] += 1
        self.later(self.dice.uniform(3.0, 8.0), lambda: self._clear_up(account))

    def calm(self) -> None:
        """No more faults."""
        for account in ACCOUNTS:
            self._clear_up(account)

    def _clear_up(self, account: str) -> None:
        self.world.simulators[account].admin.clear()
        if account in self._down:
            self.outages.append((account, self._down.pop(account), now()))
