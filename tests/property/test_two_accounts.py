"""The same promises where the target's account changes in the configuration, at any step and between any two calls.

Workers that began before the change go on with the old configuration, as a worker does until it is restarted.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis.stateful import rule

from tests.doubles import MemoryHostUp, Player
from tests.property.test_interleavings import CALM, EverythingEnds
from worker.rotation.decide import MOVES_PER_DAY
from worker.rotation.reconcile import reconcile
from worker.targets.account import DEFAULT_ACCOUNT

MEDIA = "media"


class Moving(EverythingEnds):
    """Two accounts, and a target that belongs now to the one, now to the other."""

    def make_accounts(self) -> dict[str, MemoryHostUp]:
        return {**super().make_accounts(), MEDIA: MemoryHostUp(self.stage, prefix="MK")}

    @rule()
    def the_configuration_names_the_other_account(self) -> None:
        account = MEDIA if self.target.account == DEFAULT_ACCOUNT else DEFAULT_ACCOUNT
        self.target = replace(self.target, account=account)

    @rule()
    def a_worker_with_the_other_configuration_looks(self) -> None:
        """Not all workers are restarted at the same time."""
        account = MEDIA if self.target.account == DEFAULT_ACCOUNT else DEFAULT_ACCOUNT
        other = replace(self.target, account=account)
        if sum(not worker.done for worker in self.workers) < 3:
            self.workers = [worker for worker in self.workers if not worker.done]
            self.workers.append(Player(self.stage, lambda: reconcile(self.services, other)))

    def teardown(self) -> None:
        super().teardown()
        record = self._record()
        assert record is not None
        assert len(record.moves) <= MOVES_PER_DAY
        self._every_key_lies_where_its_record_says()

    def _every_key_lies_where_its_record_says(self) -> None:
        record = self._record()
        assert record is not None
        named = [(key.access_key, key.account) for key in record.retiring]
        named += [(record.current.access_key, record.current.account)] if record.current else []
        for access_key, account in named:
            assert access_key in self.hostups[account].made


TestMoving = Moving.TestCase
TestMoving.settings = settings(CALM, max_examples=80)
