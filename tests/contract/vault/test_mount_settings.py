"""Settings that let everything in a mount expire are seen before a key is made, on a real server."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.contract.vault.answers import errors, token, told
from tests.contract.vault.conftest import Connect, Role, SteppedClock
from tests.contract.vault.test_kv import is_ready
from tests.servers import wait_until
from tests.wire import Wire
from worker.adapters.vault.kv import MountSettings, VaultStore
from worker.errors import VaultExpires
from worker.rotation.ports import DocumentSettings
from worker.secret import Secret


@pytest.fixture
def mount(root: Any) -> str:
    name = f"own-{uuid.uuid4()}"
    root.sys.enable_secrets_engine("kv", path=name, options={"version": "2"})
    return name


@pytest.fixture
def store(connected: Connect, mount: str) -> VaultStore:
    made = connected(mount=mount)
    wait_until(lambda: is_ready(made), "the new mount is ready")
    return made


def test_a_mount_that_lets_versions_expire_is_refused_with_the_command_against_it(
    store: VaultStore, mount: str, root: Any
) -> None:
    root.adapter.post(f"/v1/{mount}/config", json={"delete_version_after": "768h", "cas_required": True})
    with pytest.raises(VaultExpires, match="768h0m0s") as caught:
        store.missing_capabilities({})
    assert f"`vault write {mount}/config delete_version_after=0s`" in caught.value.hint
    assert store.mount_settings() == MountSettings("768h0m0s", 0)
    root.adapter.post(f"/v1/{mount}/config", json={"delete_version_after": "0s"})
    assert store.missing_capabilities({}) == {}  # at once: only a good answer is believed for a while


@pytest.mark.parametrize("after", ["0s", "0", "", None, "0h0m0s"])
def test_whatever_form_nothing_has(connected: Connect, after: object) -> None:
    found = {"data": {"delete_version_after": after, "max_versions": 5, "cas_required": False}}
    with Wire(token(), told(found)) as wire:
        assert connected(wire.url, token=Secret("s")).mount_settings() == MountSettings(None, 5)


def test_an_expiry_that_is_set_later_is_seen_within_a_minute(
    store: VaultStore, mount: str, root: Any, clock: SteppedClock
) -> None:
    assert store.missing_capabilities({}) == {}
    root.adapter.post(f"/v1/{mount}/config", json={"delete_version_after": "1h"})
    clock.seconds += 61
    with pytest.raises(VaultExpires):
        store.missing_capabilities({})


def test_settings_that_may_not_be_read_are_not_known_and_stop_nothing(
    connected: Connect, role: Callable[..., Role]
) -> None:
    made = role('path "secret/data/*" { capabilities = ["read"] }')
    store = connected(role_id=made.role_id, secret_id=Secret(made.secret_id()))
    assert store.mount_settings() is None
    assert store.missing_capabilities({}) == {}


def test_a_denial_is_not_asked_for_again_at_every_rotation(connected: Connect, clock: SteppedClock) -> None:
    mounted = told({"data": {"path": "secret/", "options": {"version": "2"}}})
    denied = errors(403, "1 error occurred:\n\t* permission denied\n\n")
    with Wire(token(), mounted, denied, denied, mounted) as wire:
        store = connected(wire.url, token=Secret("s"))
        assert store.missing_capabilities({}) == {}
        clock.seconds += 61
        assert store.missing_capabilities({}) == {}
        assert [heard.target for heard in wire.heard].count("/v1/secret/config") == 1


@pytest.mark.parametrize("written", [False, True])
def test_what_is_set_of_a_document_is_told_also_before_it_is_written(
    store: VaultStore, mount: str, root: Any, *, written: bool
) -> None:
    assert store.settings_of("app") is None
    if written:
        store.write("app", {"n": 1}, 0)
        assert store.settings_of("app") == DocumentSettings(None, 0)
    root.secrets.kv.v2.update_metadata("app", mount_point=mount, delete_version_after="1h", max_versions=3)
    assert store.settings_of("app") == DocumentSettings("1h0m0s", 3)


def test_settings_of_documents_that_may_not_be_read_are_asked_for_once_an_hour(
    connected: Connect, clock: SteppedClock
) -> None:
    denied = errors(403, "1 error occurred:\n\t* permission denied\n\n")
    found = told({"data": {"delete_version_after": "1h0m0s", "max_versions": 0}})
    with Wire(token(), denied, found) as wire:
        store = connected(wire.url, token=Secret("s"))
        assert store.settings_of("app") is None
        assert store.settings_of("other") is None
        clock.seconds += 3601
        assert store.settings_of("app") == DocumentSettings("1h0m0s", 0)


def test_where_settings_ask_for_check_and_set_a_record_is_prepared_all_the_same(
    store: VaultStore, mount: str, root: Any
) -> None:
    root.adapter.post(f"/v1/{mount}/config", json={"metadata_cas_required": True})
    settings = store.mount_settings()
    if not (settings and settings.metadata_cas_required):
        pytest.skip("this server has no such setting")
    for _ in range(2):
        store.prepare_record("state/new")
    assert store.settings_of("state/new") == DocumentSettings(None, 1)
    assert store.write("state/new", {"n": 1}, 0).version == 1


def test_a_version_tells_when_it_will_expire(store: VaultStore, mount: str, root: Any) -> None:
    assert store.write("app", {"n": 1}, 0).version == 1
    assert store.read("app").expires_at is None
    root.secrets.kv.v2.update_metadata("app", mount_point=mount, delete_version_after="1h")
    store.write("app", {"n": 2}, 1)
    expires_at = store.read("app").expires_at
    assert expires_at is not None
    assert abs(expires_at - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=5)
