"""Copies of an app's secret on real servers: in a second Vault, and in a namespace by the login of the first."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.contract.vault.conftest import Connect, SteppedClock, administrator
from tests.contract.vault.test_namespaces import made, opened, ready, within
from tests.doubles import MemoryHostUp, one_account
from tests.servers import VaultServer, start_vault
from tests.worlds import POLICY, TARGET
from worker.adapters.vault.kv import VaultStore
from worker.errors import ConfigurationError
from worker.rotation.reconcile import reconcile
from worker.rotation.record import Phase, Record
from worker.rotation.records import RecordStore
from worker.rotation.services import Destination, Services
from worker.secret import Secret
from worker.targets.location import Location
from worker.targets.target import Target


@pytest.fixture
def second(tmp_path: Path) -> Iterator[VaultServer]:
    with start_vault(tmp_path / "second") as running:
        yield running


@dataclass
class World:
    """A target with copies whose Vaults are real; HostUp and the storage are doubles."""

    home: VaultStore
    destinations: dict[str, Destination]
    also: tuple[Location, ...]
    clock: SteppedClock
    hostup: MemoryHostUp = field(default_factory=MemoryHostUp)

    def __post_init__(self) -> None:
        self.root = f"tests/{uuid.uuid4()}"
        self.target = replace(TARGET, path=f"{self.root}/app", also=self.also)
        self.store = RecordStore(self.home, f"{self.root}/state", self.clock)
        self.services = Services(
            accounts=one_account(self.hostup),
            vault=self.home,
            store=self.store,
            clock=self.clock,
            policy=POLICY,
            destinations=self.destinations,
        )
        self.hostup.living["BY-HAND"] = "before"

    def look(self, target: Target | None = None, *, watching: bool = False) -> Record:
        return reconcile(self.services, target or self.target, watching=watching).record

    def passes(self, *, days: float = 0, seconds: float = 0) -> None:
        self.clock.sleep(days * 86_400 + seconds)


def secret(vault: VaultStore, path: str) -> tuple[object, int]:
    """The key that stands there, and its version."""
    document = vault.read(path)
    return (document.data or {}).get("access_key"), document.version


def test_two_vaults_have_the_same_key_and_the_old_one_is_destroyed_in_both(
    connected: Connect, second: VaultServer, clock: SteppedClock
) -> None:
    home, eu = connected(), connected(second)
    copies = (Location("copies/here"), Location("copies/there", "eu"))
    world = World(home, {"eu": Destination(eu, "secret")}, copies, clock)
    for expected in ("AK1", "AK2"):
        record = world.look()
        assert record.current is not None
        places = [(home, world.target.path), (home, "copies/here"), (eu, "copies/there")]
        assert {secret(*place)[0] for place in places} == {expected}
        assert [copy.version for copy in record.current.copies] == [secret(*place)[1] for place in places[1:]]
        world.passes(days=31)
    world.passes(days=2)
    world.look()
    for vault, path in places:
        assert vault.read_version(path, 1).data is None, path


def test_a_second_vault_that_is_sealed_leaves_the_rotation_open_and_is_written_later(
    connected: Connect, second: VaultServer, clock: SteppedClock
) -> None:
    home, eu = connected(), connected(second, deadline=5.0)
    world = World(home, {"eu": Destination(eu, "secret")}, (Location("app", "eu"),), clock)
    world.look()
    world.passes(days=31)
    del world.hostup.living["AK1"]  # so that a new key is made although a copy cannot be written
    with administrator(second) as root:
        root.sys.seal()
    for _ in range(4):
        world.look(watching=True)
        world.passes(seconds=6)
    record = world.look()
    assert secret(home, world.target.path) == ("AK2", 2)
    assert record.rotation is not None
    assert record.failure is not None
    assert (record.rotation.phase, "the copy at eu:app: Vault is sealed" in record.failure.what) == (
        Phase.VERIFIED,
        True,
    )
    with administrator(second) as root:
        root.sys.submit_unseal_key(second.unseal_key)
    world.passes(seconds=7200)
    assert world.look().rotation is None
    assert secret(eu, "app") == ("AK2", 2)


def test_a_copy_in_a_namespace_by_the_login_of_the_first(
    connected: Connect, server: VaultServer, root: Any, clock: SteppedClock
) -> None:
    inner = made(server, None)
    path = f"tests/{uuid.uuid4()}"
    policy = 'path "secret/*" { capabilities = ["create", "read", "update", "list"] }'
    root.sys.create_or_update_policy(f"home-{inner.namespace}", policy)
    root.auth.approle.create_or_update_approle(
        inner.namespace, token_policies=[inner.namespace, f"home-{inner.namespace}"], token_ttl="1h"
    )
    home = connected(role_id=inner.role_id, secret_id=Secret(inner.secret_id))
    there = home.beside("kv", inner.namespace)
    ready(there, path)
    world = World(home, {"ns": Destination(there, "kv")}, (Location(path, "ns"),), clock)
    before = set(root.auth.token.list_accessors()["data"]["keys"])
    world.look()
    found = within(server, inner.namespace).secrets.kv.v2.read_secret_version(
        path=path, mount_point="kv", raise_on_deleted_version=True
    )
    assert found["data"]["data"]["access_key"] == "AK1"
    assert set(root.auth.token.list_accessors()["data"]["keys"]) - before == set(), "one login is enough for both"
    assert home.check().accessor == there.check().accessor


def test_a_token_that_ends_is_replaced_for_what_lies_beside_too(
    connected: Connect, server: VaultServer, root: Any, path: str
) -> None:
    inner = made(server, None)
    home = opened(connected, inner, auth_namespace="root")
    there = home.beside("kv", inner.namespace)
    ready(there, path)
    root.auth.token.revoke_accessor(home.check().accessor)
    assert there.write(path, {"n": 1}, 0).version == 1


def test_what_is_no_mount_or_namespace_is_refused(store: VaultStore) -> None:
    with pytest.raises(ConfigurationError):
        store.beside("a//b", None)
    with pytest.raises(ConfigurationError):
        store.beside("kv", "n\u00e4mespace")


def test_a_vault_that_takes_calls_and_never_answers_does_not_hold_up_other_targets(
    connected: Connect, clock: SteppedClock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        far = connected(f"http://127.0.0.1:{silent.getsockname()[1]}", deadline=1.0)
        world = World(connected(), {"far": Destination(far, "secret")}, (Location("app", "far"),), clock)
        began = time.monotonic()
        for number in range(5):
            name, path = f"with-copy-{number}", f"{world.root}/copied-{number}"
            world.look(replace(world.target, name=name, path=path, also=(Location(f"app-{number}", "far"),)))
        plain = replace(world.target, name="plain", path=f"{world.root}/plain", also=())
        record = world.look(plain)
        took = time.monotonic() - began
    assert record.current is not None
    assert 1.0 <= took < 4.0, "one call waited for its deadline, and the others were not made"
