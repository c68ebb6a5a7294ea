"""Records that a person, or Vault's own settings, took away, on a real server."""

from __future__ import annotations

import shlex
import uuid
from typing import Any

import pytest

from tests.contract.vault.conftest import Connect, SteppedClock
from tests.contract.vault.test_kv import is_ready
from tests.records import empty
from tests.servers import wait_until
from tests.worlds import TARGET
from worker.adapters.vault.kv import VaultStore
from worker.errors import RecordDeleted
from worker.events import Event
from worker.rotation.changes.rotation import note
from worker.rotation.ports import Absence
from worker.rotation.records import RecordStore


@pytest.fixture
def records(store: VaultStore, clock: SteppedClock) -> RecordStore:
    """A target's record, written twice."""
    made = RecordStore(store, f"state-{uuid.uuid4()}", clock, "secret")
    loaded = made.open(TARGET)
    for _ in range(2):
        loaded = made.change(loaded, lambda record: note(record, Event.KEY_ADOPTED, clock.now()))
    return made


def test_the_command_in_the_hint_brings_a_deleted_record_back(records: RecordStore, root: Any) -> None:
    path = records.path(TARGET.name)
    before = records.open(TARGET)
    root.secrets.kv.v2.delete_latest_version_of_secret(path)
    with pytest.raises(RecordDeleted, match=r"version 2 of .* was deleted") as caught:
        records.open(TARGET)
    command = shlex.split(caught.value.hint.split("`")[1])
    assert command == ["vault", "kv", "undelete", "-mount=secret", "-versions=2", path]
    root.secrets.kv.v2.undelete_secret_versions(path, versions=[2])
    assert records.open(TARGET).record == before.record


def test_destroyed_and_deleted_with_metadata_are_told_apart(records: RecordStore, root: Any) -> None:
    path = records.path(TARGET.name)
    root.secrets.kv.v2.destroy_secret_versions(path, versions=[2])
    with pytest.raises(RecordDeleted, match="was destroyed"):
        records.open(TARGET)
    root.secrets.kv.v2.delete_metadata_and_all_versions(path)
    assert records.open(TARGET).record == empty_of(TARGET.name)
    root.secrets.kv.v2.create_or_update_secret(f"{path.removesuffix(TARGET.name)}_archive/{TARGET.name}/1", {})
    with pytest.raises(RecordDeleted, match="deleted with its metadata"):
        records.open(TARGET)


def empty_of(name: str) -> Any:
    assert empty().target == name
    return empty()


def test_a_record_that_expired_is_deleted_and_not_new(connected: Connect, clock: SteppedClock, root: Any) -> None:
    mount = f"expiring-{uuid.uuid4()}"
    root.sys.enable_secrets_engine("kv", path=mount, options={"version": "2"})
    store = connected(mount=mount)
    wait_until(lambda: is_ready(store), "the new mount is ready")
    root.adapter.post(f"/v1/{mount}/config", json={"delete_version_after": "1s"})
    store.write("state/media", {"n": 1}, 0)
    wait_until(lambda: store.read("state/media").data is None, "the record expires")
    assert store.read("state/media").absence is Absence.DELETED
    with pytest.raises(RecordDeleted, match=f"{mount}/state/media was deleted"):
        RecordStore(store, "state", clock, mount).open(TARGET)
