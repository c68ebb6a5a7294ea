"""A key that a person names is never taken for free while any target answers for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from tests.doubles import MemoryClock, MemoryHostUp, MemoryVault, one_account
from tests.records import current, empty, retiring, rotation
from worker.cli.in_use import owners, see_that_nobody_uses
from worker.errors import UsageError
from worker.rotation.record import Phase, Record, encode
from worker.rotation.records import RecordStore
from worker.rotation.services import Policy, Services
from worker.targets.fields import PRESETS
from worker.targets.schedule import Schedule
from worker.targets.target import Target


@dataclass(frozen=True)
class Shop:
    """Two targets, ``media`` and ``web``, in a Vault in memory."""

    services: Services
    targets: Mapping[str, Target]
    vault: MemoryVault

    def put(self, record: Record) -> None:
        path = self.services.store.path(record.target)
        self.vault.write(path, encode(record), self.vault.read(path).version)


@pytest.fixture
def shop() -> Shop:
    vault, hostup, clock = MemoryVault(), MemoryHostUp(), MemoryClock()
    second = timedelta(seconds=1)
    services = Services(
        accounts=one_account(hostup),
        vault=vault,
        store=RecordStore(vault, "state", clock),
        clock=clock,
        policy=Policy("secret", second, second, second, second, second),
    )
    schedule = Schedule(every=timedelta(days=1))
    names = ("media", "web")
    targets = {n: Target(n, "{target}", f"apps/{n}", schedule, second, PRESETS["aws-env"]) for n in names}
    return Shop(services, targets, vault)


def test_every_key_on_record_has_its_owner(shop: Shop) -> None:
    shop.put(replace(empty(), current=current(), rotation=rotation(Phase.STAGED), retiring=(retiring("AK9"),)))
    assert owners(shop.services, shop.targets) == {"AK0": "media", "AK1": "media", "AK9": "media"}
    assert owners(shop.services, shop.targets, apart_from="media") == {}


def test_a_key_published_beside_an_unreadable_record_has_one_too(shop: Shop) -> None:
    shop.vault.write("state/web", {"garbage": True}, 0)
    shop.vault.write("apps/web", {"AWS_ACCESS_KEY_ID": "AK7"}, 0)
    assert owners(shop.services, shop.targets) == {"AK7": "web"}
    with pytest.raises(UsageError, match="AK7 is in use by target web"):
        see_that_nobody_uses(shop.services, shop.targets, "AK7")


def test_a_target_that_is_no_longer_configured_still_owns_its_keys(shop: Shop) -> None:
    shop.put(replace(empty(), target="gone", current=current("AK5")))
    with pytest.raises(UsageError, match="gone"):
        see_that_nobody_uses(shop.services, shop.targets, "AK5")


def test_a_key_that_nobody_has_is_free(shop: Shop) -> None:
    shop.put(replace(empty(), current=current()))
    see_that_nobody_uses(shop.services, shop.targets, "AK6")
    see_that_nobody_uses(shop.services, shop.targets, "AK0", apart_from="media")
