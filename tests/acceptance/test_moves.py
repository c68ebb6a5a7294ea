"""What docs/operate.md has operators do, on real servers: restore, move, change credentials."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import hvac  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.acceptance.service import Service
from tests.sandbox import plain_client, wait_until
from worker.sandbox.servers import VaultServer, start_valkey, start_vault

StartVault = Callable[[str], VaultServer]


@pytest.fixture
def another_vault(tmp_path: Path) -> Iterator[StartVault]:
    """Servers on raft, each in a folder of its own."""
    with ExitStack() as stack:

        def start(name: str) -> VaultServer:
            server = start_vault(tmp_path / name, persistent=True)
            stack.callback(server.stop)
            return server

        yield start


def _use(service: Service, vault: VaultServer) -> None:
    service.vault = hvac.Client(url=vault.address, token=vault.root_token.reveal())
    service.more = {**service.more, "VAULT_ADDR": vault.address}


def _snapshot(vault: VaultServer) -> bytes:
    with _raft(vault) as client:
        return client.get("/v1/sys/storage/raft/snapshot").raise_for_status().content


def _restore(vault: VaultServer, snapshot: bytes) -> None:
    with _raft(vault) as client:
        client.post("/v1/sys/storage/raft/snapshot-force", content=snapshot).raise_for_status()


def _raft(vault: VaultServer) -> httpx.Client:
    return plain_client(vault.address, {"X-Vault-Token": vault.root_token.reveal()})


def _all_is_well(service: Service) -> None:
    """Apps read a key that works, no other key is there, and an audit finds nothing."""
    published = service.published()
    assert published
    assert service.works(published)
    wait_until(lambda: service.living() == {published["access_key"]}, "the keys before are gone")
    done = service.rotator("audit")
    assert done.returncode == 0, done.stdout + done.stderr


def test_vault_is_moved_by_a_snapshot(service: Service, another_vault: StartVault) -> None:
    old = another_vault("old")
    _use(service, old)
    service.grace = "5s"
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    before = service.rotate()
    assert worker.stop() == 0
    snapshot = _snapshot(old)
    old.stop()
    new = replace(another_vault("new"), unseal_key=old.unseal_key)
    _restore(new, snapshot)
    new = replace(new, root_token=old.root_token)
    new.unseal()
    _use(service, new)
    worker = service.start()
    after = service.rotate()
    assert after["access_key"] != before["access_key"]
    worker.wait_for("key.dead", 2)
    _all_is_well(service)
    assert worker.events("vault.set_back") == worker.events("conflict.found") == []
    assert worker.stop() == 0


def test_an_old_snapshot_is_restored(service: Service, another_vault: StartVault) -> None:
    vault = another_vault("vault")
    _use(service, vault)
    service.watch_every, service.audit_every = "1s", "2s"
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    snapshot = _snapshot(vault)
    lost = service.rotate()["access_key"]
    worker.wait_for("key.dead")
    assert worker.stop() == 0
    _restore(vault, snapshot)
    vault.unseal()
    read = service.published()
    assert read
    assert not service.works(read), "apps read a dead key, for as long as no worker runs"
    worker = service.start()
    worker.wait_for("vault.set_back")
    worker.wait_for("rotation.succeeded")
    wait_until(lambda: service.works(service.published() or {}), "apps read a key that works")
    assert lost in service.living(), "on no record: nobody but a person may delete it"
    drift = service.rotator("audit")
    assert drift.returncode == 1, drift.stdout + drift.stderr
    service.sandbox.simulator.admin.remove_key(lost)
    worker.wait_for("deletes.resumed")
    service.rotate()
    _all_is_well(service)
    assert worker.stop() == 0


def test_redis_is_another_one(service: Service, tmp_path: Path) -> None:
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    before = service.rotate()
    assert worker.stop() == 0
    other = start_valkey(tmp_path / "valkey")
    try:
        service.more = {**service.more, "REDIS_URL": other.url.reveal(), "REDIS_URL_FILE": ""}
        worker = service.start()
        worker.wait_for("index.rebuilt")
        known = json.loads(service.rotator("status", service.target, "--json").stdout)
        assert before["access_key"] in json.dumps(known)
        service.rotate()
        _all_is_well(service)
        assert worker.stop() == 0
    finally:
        other.stop()


def test_a_new_secret_id_without_a_stop(service: Service) -> None:
    role = service.target
    policy = service.rotator("vault", "policy").stdout
    assert service.path in policy
    service.vault.sys.create_or_update_policy(role, policy)
    approle = service.vault.auth.approle
    approle.create_or_update_approle(role, token_policies=[role], token_no_default_policy=True, token_period="1h")
    file = service.folder / "secret-id"
    first = _new_secret_id(service, file)
    role_id = approle.read_role_id(role)["data"]["role_id"]
    login = {"VAULT_TOKEN_FILE": "", "VAULT_ROLE_ID": role_id, "VAULT_SECRET_ID_FILE": str(file)}
    service.more = {**service.more, **login}
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    second = _new_secret_id(service, file)
    worker.wait_for("credential.renewed")
    approle.destroy_secret_id(role, first)
    service.rotate()
    service.rotate()
    _all_is_well(service)
    assert worker.stop() == 0
    assert [secret for secret in (first, second) if secret in service.everything_said()] == []


def _new_secret_id(service: Service, file: Path) -> str:
    """Written beside the old one, and renamed over it."""
    made: str = service.vault.auth.approle.generate_secret_id(service.target)["data"]["secret_id"]
    new = file.with_suffix(".new")
    new.write_text(made)
    new.replace(file)
    return made
