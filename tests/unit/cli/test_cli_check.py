"""What ``rotator check`` makes of what the parts tell of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.settings.configuring import TARGET, read
from worker.cli.check_redis import judged
from worker.cli.check_vault import needed
from worker.cli.vault_policy import rights_of_worker
from worker.cli.verdicts import Verdict, failed
from worker.errors import HostUpCall, HostUpRefused

WELL = {"server_name": "valkey", "valkey_version": "9.1.2", "redis_version": "7.2.4", "role": "master"}
FULL = {"maxmemory": 100, "used_memory": 95}


@pytest.mark.parametrize(
    ("facts", "state", "told"),
    [
        ({}, "ok", "valkey 9.1.2 answers and takes writes"),
        ({"role": "slave"}, "failed", "replica"),
        ({"loading": 1}, "failed", "loading"),
        ({"aof_last_write_status": "err"}, "failed", "append-only"),
        ({"rdb_last_bgsave_status": "err"}, "failed", "snapshot"),
        ({**FULL, "maxmemory_policy": "noeviction"}, "failed", "nearly full"),
        ({**FULL, "maxmemory_policy": "allkeys-lru"}, "warning", "may drop keys"),
        ({"maxmemory": 0, "maxmemory_policy": "allkeys-lru"}, "ok", ""),
    ],
)
def test_redis(facts: dict[str, Any], state: str, told: str) -> None:
    verdict = judged({**WELL, **facts})
    assert verdict.state == state
    assert told in verdict.detail
    assert bool(verdict.hint) == (state != "ok")


def test_a_plain_redis_is_called_by_its_name() -> None:
    assert judged({"redis_version": "7.0.15"}).detail == "Redis 7.0.15 answers and takes writes"


def test_every_right_that_a_rotation_needs_is_asked_for(tmp_path: Path) -> None:
    assert needed(read(tmp_path, TARGET)) == {
        "secret/data/apps/media": ("create", "read", "update"),
        "secret/destroy/apps/media": ("update",),
        "secret/data/hostup-rotator/state/media": ("create", "read", "update"),
        "secret/metadata/hostup-rotator/state/media": ("create", "update"),
        "secret/metadata/hostup-rotator/state": ("list",),
        "secret/data/hostup-rotator/state/_account": ("create", "read", "update"),
        "secret/data/hostup-rotator/state/_endpoint": ("create", "read", "update"),
        "secret/data/hostup-rotator/state/_keys/KEY": ("create", "read", "update"),
        "secret/data/hostup-rotator/state/_archive/media/000000000001": ("create", "read", "update"),
        "secret/metadata/hostup-rotator/state/_archive/media": ("list",),
    }


def test_the_rights_on_each_account_s_api_key_are_asked_for_and_given(tmp_path: Path) -> None:
    keys = '[hostup]\napi_key_path = "keys/first"\n[[account]]\nname = "media"\napi_key_path = "keys/media"\n'
    settings = read(tmp_path, keys + TARGET, env={"HOSTUP_API_KEY": None})
    state, record = "secret/data/hostup-rotator/state", ("create", "read", "update")
    asked = needed(settings)
    paths = {"secret/data/keys/first", "secret/data/keys/media"}
    records = {f"{state}/_api_key{which}{whose}" for which in ("", "_rescued") for whose in ("", "/media")}
    assert {path: asked.get(path) for path in paths | records} == dict.fromkeys(paths | records, record)
    assert {path: set(rights_of_worker(settings)[path]) for path in paths} == {key: set(record) for key in paths}


def test_a_failure_names_the_request_id() -> None:
    error = HostUpRefused("HostUp refused", HostUpCall("status", 403), hint="Check the key.", request_id="request-1")
    assert failed("HostUp", error) == Verdict(
        "HostUp", "failed", "HostUp refused (requestId request-1)", "Check the key."
    )


def test_a_warning_counts_as_ok() -> None:
    assert Verdict("worker", "warning", "none is there").document()["ok"] is True
    assert Verdict("worker", "failed", "none is there").document()["ok"] is False
