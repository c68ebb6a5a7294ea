"""Documents, versions and check-and-set, on a real server."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.vault.conftest import CANARY, Connect, SteppedClock, everything_told
from tests.servers import wait_until
from worker.errors import UsageError, VaultCasMismatch, VaultMountMissing, VaultNotVersioned, VaultUnavailable
from worker.rotation.ports import Absence, Document, VaultPort


def test_what_was_never_written_has_version_0(store: VaultPort, path: str) -> None:
    assert store.read(path) == Document(None, 0, absence=Absence.NEVER)


def test_a_write_is_read_back_with_its_version_time_and_vaults_request_id(store: VaultPort, path: str) -> None:
    written = store.write(path, {"access_key": "A", "nested": {"list": [1, "zwei", None]}}, 0)
    document = store.read(path)
    assert (written.version, document.version) == (1, 1)
    assert document.data == {"access_key": "A", "nested": {"list": [1, "zwei", None]}}
    assert document.created_at is not None
    assert abs(document.created_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert written.vault_request_id
    assert document.vault_request_id
    assert written.vault_request_id != document.vault_request_id


def test_each_write_must_name_the_version_before(store: VaultPort, path: str) -> None:
    assert store.write(path, {"n": 1}, 0).version == 1
    assert store.write(path, {"n": 2}, 1).version == 2
    for stale in (0, 1, 3):
        with pytest.raises(VaultCasMismatch) as caught:
            store.write(path, {"secret_key": CANARY}, stale)
        assert CANARY not in everything_told(caught.value)
        assert (caught.value.operation, caught.value.path) == ("write", f"secret/data/{path}")
    assert store.read(path).data == {"n": 2}


def test_a_prepared_record_keeps_one_version_and_refuses_writes_without_check_and_set(
    store: VaultPort, root: Any, path: str
) -> None:
    store.prepare_record(path)
    assert store.read(path) == Document(None, 0, absence=Absence.NEVER)
    for version in range(3):
        store.write(path, {"n": version}, version)
    kept = root.secrets.kv.v2.read_secret_metadata(path)["data"]
    assert list(kept["versions"]) == ["3"]
    with pytest.raises(Exception, match="check-and-set parameter required"):
        root.secrets.kv.v2.create_or_update_secret(path, {"n": 9})


def test_preparing_again_leaves_the_operators_settings_alone(store: VaultPort, root: Any, path: str) -> None:
    root.secrets.kv.v2.update_metadata(path, custom_metadata={"owner": "media"}, delete_version_after="768h")
    store.prepare_record(path)
    store.prepare_record(path)
    kept = root.secrets.kv.v2.read_secret_metadata(path)["data"]
    assert kept["custom_metadata"] == {"owner": "media"}
    assert kept["delete_version_after"] == "768h0m0s"
    assert (kept["max_versions"], kept["cas_required"]) == (1, True)


def test_a_deleted_latest_version_is_no_data_but_still_the_version_to_name(
    store: VaultPort, root: Any, path: str
) -> None:
    store.write(path, {"n": 1}, 0)
    store.write(path, {"n": 2}, 1)
    root.secrets.kv.v2.delete_latest_version_of_secret(path)
    document = store.read(path)
    assert (document.data, document.version) == (None, 2)
    with pytest.raises(VaultCasMismatch):
        store.write(path, {"n": 3}, 0)
    assert store.write(path, {"n": 3}, document.version).version == 3


def test_destroy_takes_the_old_version_only_and_may_be_repeated(store: VaultPort, root: Any, path: str) -> None:
    store.write(path, {"n": 1}, 0)
    store.write(path, {"n": 2}, 1)
    store.destroy(path, 1)
    store.destroy(path, 1)
    versions = root.secrets.kv.v2.read_secret_metadata(path)["data"]["versions"]
    assert (versions["1"]["destroyed"], versions["2"]["destroyed"]) == (True, False)
    assert store.read(path).data == {"n": 2}


def test_a_destroyed_latest_version_is_no_data_but_still_the_version_to_name(store: VaultPort, path: str) -> None:
    store.write(path, {"n": 1}, 0)
    store.destroy(path, 1)
    document = store.read(path)
    assert (document.data, document.version) == (None, 1)
    assert store.write(path, {"n": 2}, 1).version == 2


def test_destroying_what_was_never_there_is_no_error(store: VaultPort, path: str) -> None:
    store.destroy(path, 7)
    assert store.read(path) == Document(None, 0, absence=Absence.NEVER)


def test_list_names_what_is_directly_below(store: VaultPort, path: str) -> None:
    store.write(f"{path}/b", {}, 0)
    store.write(f"{path}/a", {}, 0)
    store.write(f"{path}/folder/deep", {}, 0)
    assert store.list(path) == store.list(f"{path}/") == ("a", "b", "folder/")
    assert store.list(f"{path}/none") == ()


@pytest.mark.parametrize("name", ["a b", "a+b", "100%", "a%2Fb", "what?", "a#b", "ünï", "a&b=c", "*", "a;b"])
def test_odd_names_are_quoted_and_stay_apart(store: VaultPort, path: str, name: str) -> None:
    store.write(f"{path}/{name}", {"name": name}, 0)
    assert store.read(f"{path}/{name}").data == {"name": name}
    assert store.list(path) == (name,)


@pytest.mark.parametrize("bad", ["", "/a", "a/", "a//b", "a/../b", ".", "a/."])
def test_a_path_that_would_lead_elsewhere_is_refused(store: VaultPort, bad: str) -> None:
    with pytest.raises(UsageError):
        store.read(bad)
    with pytest.raises(UsageError):
        store.write(bad, {}, 0)


def test_a_mount_with_slashes_in_its_name(connected: Connect, root: Any, path: str) -> None:
    mount = f"team {uuid.uuid4()}/kv"
    root.sys.enable_secrets_engine("kv", path=mount, options={"version": "2"})
    store = connected(mount=mount)
    assert store.missing_capabilities({f"{mount}/data/{path}": ("create",)}) == {}
    wait_until(lambda: is_ready(store), "the new mount is ready")
    store.write(path, {"n": 1}, 0)
    assert store.read(path).data == {"n": 1}
    with pytest.raises(VaultMountMissing):
        connected(mount=f"{mount}/below").missing_capabilities({})


def is_ready(store: VaultPort) -> bool:
    try:
        return store.read("nothing").version == 0
    except VaultUnavailable:
        return False


def test_a_missing_mount_is_not_taken_for_a_missing_document(connected: Connect, path: str) -> None:
    store = connected(mount=f"none-{uuid.uuid4()}")
    asks = (
        lambda: store.read(path),
        lambda: store.write(path, {"secret_key": CANARY}, 0),
        lambda: store.prepare_record(path),
        lambda: store.destroy(path, 1),
        lambda: store.list(path),
        lambda: store.missing_capabilities({}),
    )
    for ask in asks:
        with pytest.raises(VaultMountMissing) as caught:
            ask()
        assert "vault.mount" in caught.value.hint
        assert CANARY not in everything_told(caught.value)


def test_a_mount_of_kv_version_1_is_told_before_and_after_a_write(connected: Connect, root: Any, path: str) -> None:
    mount = f"v1-{uuid.uuid4()}"
    root.sys.enable_secrets_engine("kv", path=mount, options={"version": "1"})
    store = connected(mount=mount)
    with pytest.raises(VaultNotVersioned):
        store.missing_capabilities({})
    with pytest.raises(VaultNotVersioned):
        store.write(path, {"n": 1}, 0)
    with pytest.raises(VaultNotVersioned):
        store.read(path)


def test_a_mount_that_is_no_kv_is_not_versioned(connected: Connect, root: Any) -> None:
    mount = f"transit-{uuid.uuid4()}"
    root.sys.enable_secrets_engine("transit", path=mount)
    with pytest.raises(VaultNotVersioned):
        connected(mount=mount).missing_capabilities({})


def test_a_good_mount_is_believed_for_a_minute_and_a_missing_one_never(
    connected: Connect, clock: SteppedClock, root: Any
) -> None:
    mount = f"brief-{uuid.uuid4()}"
    store = connected(mount=mount)
    with pytest.raises(VaultMountMissing):
        store.missing_capabilities({})
    root.sys.enable_secrets_engine("kv", path=mount, options={"version": "2"})
    assert store.missing_capabilities({}) == {}
    root.sys.disable_secrets_engine(mount)
    clock.seconds += 59
    assert store.missing_capabilities({}) == {}
    clock.seconds += 2
    with pytest.raises(VaultMountMissing):
        store.missing_capabilities({})
