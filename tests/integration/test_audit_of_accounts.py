"""The audit of the service, with two accounts: what the one explains is settled there, and only there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import redis

from tests.doubles import MemoryHostUp, MemoryVault, at
from tests.integration.scene import ActingClock, runtime_with
from tests.records import DAY, create, current
from tests.unit.settings.configuring import TARGET, read
from worker.adapters.redis.state import shared_state
from worker.adapters.vault.kv import VaultStore
from worker.rotation.baseline import ensure_baseline
from worker.rotation.claims import Owner
from worker.rotation.record import Record
from worker.rotation.records import RecordStore
from worker.rotation.services import Services
from worker.service.assemble import Runtime, policy
from worker.service.audit_task import audit_once

MEDIA = '[[account]]\nname = "media"\n'
OPEN = create(after=4, ago=2 * DAY)


@pytest.fixture
def hostups() -> dict[str, MemoryHostUp]:
    return {"default": MemoryHostUp(), "media": MemoryHostUp(prefix="MK")}


@pytest.fixture
def runtime(tmp_path: Path, client: redis.Redis, hostups: dict[str, MemoryHostUp]) -> Runtime:
    vault, clock = MemoryVault(), ActingClock()
    settings = read(tmp_path, MEDIA + TARGET, env={"HOSTUP_API_KEY_MEDIA": "k"})
    store = RecordStore(vault, settings.vault.state_path, clock)
    accounts = {name: at(hostup) for name, hostup in hostups.items()}
    services = Services(accounts, vault, store, clock, policy(settings))
    shared = shared_state(client, settings.accounts)
    made = runtime_with(settings, services, shared, cast("VaultStore", vault), clock)
    for name in hostups:
        ensure_baseline(services, {}, account=name)
    hostups["default"].living["AK0"] = "the current one"
    creates = (OPEN, replace(OPEN, rotation_id="of-media", account="media"))
    record = Record(target="media", path="apps/media", current=current("AK0"), unconfirmed_creates=creates)
    store.change(store.load("media", "apps/media"), lambda _: replace(record, deletes_held=True))
    return made


def _record(runtime: Runtime) -> Record:
    return runtime.services.store.load("media", "apps/media").record


def test_a_strangers_key_on_one_account_holds_what_is_open_there_and_settles_the_rest(
    runtime: Runtime, hostups: dict[str, MemoryHostUp]
) -> None:
    hostups["media"].living["MK-STRANGE"] = "somebody's"
    audit_once(runtime)
    record = _record(runtime)
    assert {create.account: create.open for create in record.unconfirmed_creates} == {"default": False, "media": True}
    assert record.deletes_held, "it may have a key on the account that is not explained"
    first, second = runtime.shared.notes.last_audit(), runtime.shared.notes.last_audit("media")
    assert first
    assert second
    assert (first.counted, first.explained) == (1, 1)
    assert (second.counted, second.explained) == (1, 0)


def test_where_all_is_explained_all_is_settled(runtime: Runtime) -> None:
    audit_once(runtime)
    record = _record(runtime)
    assert not any(create.open for create in record.unconfirmed_creates)
    assert not record.deletes_held


def test_keys_on_record_without_a_document_get_one_once_a_day(runtime: Runtime) -> None:
    store, vault = runtime.services.store, cast("MemoryVault", runtime.services.vault)
    audit_once(runtime)
    assert store.claims.owner("AK0") == Owner("media", "rotation-0")
    since = store.claims.complete_since()
    assert since == runtime.clock.now()
    vault.forget(store.claims.path("AK0"))
    for passed, there in ((DAY / 2, False), (DAY, True)):
        cast("ActingClock", runtime.clock).time = since + passed
        runtime.shared.locks.forget("audit")
        audit_once(runtime)
        assert (store.claims.owner("AK0") is not None) is there
