"""Servers of their own: one that is sealed and unsealed, one with TLS by an authority of its own."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.contract.vault.conftest import CANARY, Connect, administrator, everything_told
from tests.servers import VaultServer, start_vault, wait_until
from worker.adapters.http.trust import TlsFiles
from worker.adapters.vault.kv import VaultStore
from worker.errors import VaultError, VaultSealed, VaultUnavailable


def test_a_sealed_vault_is_told_and_used_again_when_it_is_unsealed(connected: Connect, tmp_path: Path) -> None:
    with start_vault(tmp_path) as own, administrator(own) as admin:
        store = connected(own)
        store.write("app", {"n": 1}, 0)
        assert not store.health().sealed
        admin.sys.seal()
        wait_until(lambda: store.health().sealed, "Vault is sealed")
        for use in (store, connected(own)):
            with pytest.raises(VaultSealed) as caught:
                use.write("app", {"secret_key": CANARY}, 1)
            assert "Unseal" in caught.value.hint
            assert CANARY not in everything_told(caught.value)
        admin.sys.submit_unseal_key(own.unseal_key)
        wait_until(lambda: not store.health().sealed, "Vault is unsealed")
        wait_until(lambda: can_read(store), "Vault answers again")
        assert store.write("app", {"n": 2}, 1).version == 2


def can_read(store: VaultStore) -> bool:
    """Right after unsealing, mounts are still being set up."""
    try:
        return store.read("app").data == {"n": 1}
    except VaultError:
        return False


def test_tls_is_verified_against_the_authority_that_was_given(connected: Connect, tmp_path: Path) -> None:
    with start_vault(tmp_path, tls=True) as own:
        assert connected(own).read("app").version == 0
        with pytest.raises(VaultUnavailable, match="nothing was sent") as caught:
            connected(own, tls=TlsFiles()).read("app")
        assert "VAULT_CACERT" in caught.value.hint
        plain = own.address.replace("https", "http")
        with pytest.raises(VaultUnavailable, match="not Vault") as caught:
            connected(plain).read("app")
        assert "http or https" in caught.value.hint


def test_health_tells_the_release(connected: Connect) -> None:
    health = connected().health()
    assert (health.initialized, health.sealed, health.standby) == (True, False, False)
    assert health.version


def test_in_a_namespace_that_is_not_there_nothing_looks_missing(connected: Connect, server: VaultServer) -> None:
    store = connected(server, namespace=f"none-{uuid.uuid4()}")
    with pytest.raises(VaultError):
        store.read("app")
    assert not store.health().sealed
