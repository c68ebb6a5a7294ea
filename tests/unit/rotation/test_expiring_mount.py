"""No key is made into a mount that lets everything expire."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.doubles import MemoryVault
from tests.unit.rotation.also import EU, HERE, Also
from tests.worlds import STATE, TARGET, Small
from worker.errors import VaultExpires
from worker.rotation.ports import DocumentSettings
from worker.targets.location import Location


class Expiring(MemoryVault):
    """A mount with ``delete_version_after``."""

    def missing_capabilities(self, wanted: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        raise VaultExpires("the mount deletes every version", operation="look up", path=",".join(wanted))


def test_no_key_is_made_and_the_reason_is_on_record() -> None:
    small = Small(vault=Expiring())
    record = small.look().record
    assert small.hostup.made == []
    assert record.failure
    assert "deletes every version" in record.failure.what


@pytest.mark.parametrize("path", [TARGET.path, f"{STATE}/{TARGET.name}"], ids=["the app's secret", "the record"])
def test_no_first_key_is_made_where_a_document_is_set_to_expire(path: str) -> None:
    small = Small()
    small.vault.settings[path] = DocumentSettings("1h0m0s", 0)
    record = small.look().record
    assert small.hostup.made == []
    assert record.failure
    assert record.failure.what == f"secret/{path} is set to lose every version after 1h0m0s"
    assert f"-delete-version-after=0s {path}`" in record.failure.hint
    small.vault.settings[path] = DocumentSettings(None, 1)
    small.passes(minutes=1)
    small.look()
    assert small.hostup.made == ["AK1"]


@pytest.mark.parametrize("place", [HERE, EU], ids=["a copy beside it", "a copy in another Vault"])
def test_no_first_key_is_made_where_a_copy_is_set_to_expire(place: Location) -> None:
    world = Also()
    vault = world.eu if place is EU else world.vault
    vault.settings[place.path] = DocumentSettings("1h0m0s", 0)
    record = world.look().record
    assert world.hostup.made == []
    assert record.failure
    assert f"{place.path} is set to lose every version after 1h0m0s" in record.failure.what
    vault.settings.clear()
    world.passes(minutes=1)
    world.look()
    assert [secret["access_key"] for secret in world.secrets().values()] == ["AK1"] * 3


def test_a_key_that_apps_have_is_replaced_all_the_same() -> None:
    small = Small()
    small.look()
    small.vault.settings[TARGET.path] = DocumentSettings("1h0m0s", 0)
    small.passes(days=31)
    small.look()
    assert small.hostup.made == ["AK1", "AK2"], "or the secret would be gone in an hour, and nothing in its place"
