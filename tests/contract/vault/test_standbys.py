"""A worker whose Vault is a standby that answers reads itself: what it reads is not older than what it knows of.

Without that a quarter of these reads are of the version before (docs/facts.md).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from functools import partial

import pytest

from tests.contract.vault.conftest import Connect
from tests.servers import wait_until
from tests.vault_cluster import Cluster, vault_cluster
from worker.adapters.vault.kv import VaultStore
from worker.clock import SystemClock
from worker.errors import VaultCasMismatch
from worker.secret import Secret

TIMES = 60


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with vault_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def clock() -> SystemClock:
    """How far a standby is behind is a matter of real time."""
    return SystemClock()


@pytest.fixture
def stores(cluster: Cluster, connected: Connect) -> tuple[VaultStore, ...]:
    """Of the active node, and of each standby."""
    return tuple(connected(node, token=Secret(cluster.root_token)) for node in cluster.nodes)


@pytest.fixture
def path() -> str:
    return f"lag/{uuid.uuid4().hex}"


def test_what_was_written_is_read(stores: tuple[VaultStore, ...], path: str) -> None:
    for store in stores:
        version = store.read(path).version
        for number in range(TIMES):
            version = store.write(path, {"n": number}, version).version
            document = store.read(path)
            assert (document.version, document.data) == (version, {"n": number})


def test_one_write_after_the_other_is_taken(stores: tuple[VaultStore, ...], path: str) -> None:
    """A standby that is behind refuses check-and-set by what it knows itself."""
    for store in stores:
        version = store.read(path).version
        for number in range(TIMES):
            version = store.write(path, {"n": number}, version).version


def test_what_is_known_to_be_there_is_read_by_another(stores: tuple[VaultStore, ...], path: str) -> None:
    active, *standbys = stores
    for number in range(TIMES):
        version = active.write(path, {"n": number}, number).version
        for standby in standbys:
            assert standby.read(path, version).version == version


def test_after_a_write_that_came_second_the_first_is_read(stores: tuple[VaultStore, ...], path: str) -> None:
    active, standby, _ = stores
    for number in range(TIMES):
        active.write(path, {"n": number}, number)
        with pytest.raises(VaultCasMismatch):
            standby.write(path, {"n": "mine"}, number)
        assert standby.read(path).version == number + 1


@pytest.mark.parametrize("at_least", [0, 9])
def test_a_document_that_was_made_anew_is_read_as_it_is(
    cluster: Cluster, stores: tuple[VaultStore, ...], path: str, at_least: int
) -> None:
    for store in stores:
        for number in range(3):
            store.write(path, {"n": number}, number)
        cluster.call("DELETE", f"secret/metadata/{path}")
        cluster.call("POST", f"secret/data/{path}", {"data": {"n": "anew"}})
        for _ in range(2):
            document = store.read(path, at_least)
            assert (document.version, document.data) == (1, {"n": "anew"})
        cluster.call("DELETE", f"secret/metadata/{path}")
        wait_until(partial(_is_gone, store, path), "it is gone here, too")


def _is_gone(store: VaultStore, path: str) -> bool:
    return store.read(path).version == 0


def test_nothing_is_nothing(stores: tuple[VaultStore, ...], path: str) -> None:
    assert [store.read(path).version for store in stores] == [0, 0, 0]
