"""No key is made into a mount that lets everything expire."""

from __future__ import annotations

from collections.abc import Mapping

from tests.doubles import MemoryVault
from tests.worlds import Small
from worker.errors import VaultExpires


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
