"""The doubles of the property tests behave as the real parts: the same tests, run on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import API_KEY
from tests.doubles import MemoryHostUp, MemoryStorage, MemoryVault
from tests.servers import VaultServer, start_vault
from worker.adapters.hostup.client import HostUpClient
from worker.adapters.http.client import new_client
from worker.adapters.s3.probe import StorageProbe
from worker.adapters.vault.kv import VaultAccess, connect
from worker.clock import SystemClock
from worker.errors import HostUpLastKey, VaultCasMismatch
from worker.rotation.ports import Absence, HostUpPort, Life, StoragePort, VaultPort
from worker.sandbox.simulator.server import Simulator
from worker.secret import Secret
from worker.settings.credential import Credential


@pytest.fixture(scope="module")
def vault_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultServer]:
    with start_vault(tmp_path_factory.mktemp("vault")) as running:
        yield running


@pytest.fixture(params=["double", "real"])
def vault(request: pytest.FixtureRequest) -> Iterator[VaultPort]:
    if request.param == "double":
        yield MemoryVault()
        return
    server: VaultServer = request.getfixturevalue("vault_server")
    access = VaultAccess(server.address, token=Secret(server.root_token))
    store = connect(access, "secret", SystemClock(), deadline=30)
    yield store
    store.close()


@pytest.fixture(params=["double", "real"])
def parts(request: pytest.FixtureRequest) -> Iterator[tuple[HostUpPort, StoragePort]]:
    if request.param == "double":
        double = MemoryHostUp()
        yield double, MemoryStorage(double)
        return
    with Simulator(API_KEY) as simulator, new_client() as client:
        hostup = HostUpClient(client, simulator.url, Credential(Secret(API_KEY)), create_deadline=30, deadline=30)
        yield hostup, StorageProbe(client, simulator.s3_url, "eu-north-1", deadline=30)


def test_documents(vault: VaultPort, tmp_path: Path) -> None:
    path = f"doubles/{tmp_path.name}"
    assert vault.read(path).data is None
    assert vault.read(path).version == 0
    assert vault.write(path, {"a": 1}, cas=0).version == 1
    with pytest.raises(VaultCasMismatch):
        vault.write(path, {"a": 2}, cas=0)
    assert vault.write(path, {"a": [1, {"b": "c"}]}, cas=1).version == 2
    document = vault.read(path)
    assert (document.data, document.version) == ({"a": [1, {"b": "c"}]}, 2)
    vault.destroy(path, 1)
    vault.destroy(path, 1)
    vault.destroy(path, 2)
    gone = vault.read(path)
    assert (gone.data, gone.version, gone.absence) == (None, 2, Absence.DESTROYED)
    assert vault.read_version(path, 1).absence is Absence.DESTROYED
    assert (vault.read_version(path, 9).version, vault.read_version(path, 9).absence) == (0, Absence.NEVER)
    assert vault.write(path, {"a": 3}, cas=2).version == 3


def test_records_and_lists(vault: VaultPort, tmp_path: Path) -> None:
    folder = f"doubles/{tmp_path.name}"
    assert vault.list(folder) == ()
    vault.prepare_record(f"{folder}/one")
    vault.prepare_record(f"{folder}/one")
    assert vault.write(f"{folder}/one", {"a": 1}, cas=0).version == 1
    assert vault.write(f"{folder}/one", {"a": 2}, cas=1).version == 2
    vault.write(f"{folder}/deep/two", {"a": 1}, cas=0)
    assert sorted(vault.list(folder)) == ["deep/", "one"]
    assert vault.missing_capabilities({f"secret/data/{folder}/one": ("update",)}) == {}


def test_keys(parts: tuple[HostUpPort, StoragePort]) -> None:
    hostup, storage = parts
    before = hostup.status().key_count
    first, second = hostup.create_key("one"), hostup.create_key("two")
    assert first.access_key != second.access_key
    assert first.request_id != second.request_id
    assert before is not None
    assert hostup.status().key_count == before + 2
    assert storage.works(first.access_key, first.secret_key).life is Life.ALIVE
    assert storage.works(first.access_key, Secret("not the right one")).life is Life.DEAD
    assert storage.lives(first.access_key).life is Life.ALIVE
    assert hostup.delete_key(first.access_key).status == 200
    assert hostup.delete_key(first.access_key).status == 404
    assert storage.lives(first.access_key).life is Life.DEAD
    with pytest.raises(HostUpLastKey):
        hostup.delete_key(second.access_key)
    assert storage.works(second.access_key, second.secret_key).life is Life.ALIVE
