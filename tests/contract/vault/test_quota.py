"""A rate limit quota is waited out within the time of a call, on a real server and over a real socket."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.contract.vault.answers import document, errors, login, token, told
from tests.contract.vault.conftest import CANARY, administrator, everything_told
from tests.servers import VaultServer, start_vault
from tests.wire import LOOPBACK_PEM, Wire, answer
from worker.adapters.http.trust import TlsFiles
from worker.adapters.vault.kv import VaultAccess, VaultStore, connect
from worker.clock import SystemClock
from worker.errors import VaultRateLimited
from worker.secret import Secret

QUOTA = errors(429, 'request path "secret/data/app": rate limit quota exceeded')


def opened(address: str, deadline: float = 30.0, **access: Any) -> VaultStore:
    login_by: dict[str, Any] = access or {"token": Secret("s")}
    return connect(
        VaultAccess(address, tls=TlsFiles(str(LOOPBACK_PEM)), **login_by), "secret", SystemClock(), deadline=deadline
    )


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[VaultServer]:
    """A server that answers ten calls a second in its mount."""
    with start_vault(tmp_path) as server, administrator(server) as root:
        root.adapter.post("/v1/sys/quotas/rate-limit/strict", json={"rate": 10, "interval": "1s", "path": "secret"})
        yield server


def test_twenty_callers_at_once_are_all_served_in_the_end(strict: VaultServer) -> None:
    store = opened(strict.address, token=Secret(strict.root_token))
    paths = [f"tests/{uuid.uuid4()}" for _ in range(20)]

    def use(path: str) -> object:
        store.write(path, {"n": 1}, 0)
        return store.read(path).data

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(use, paths)) == [{"n": 1}] * 20


@pytest.mark.parametrize("times", [1, 3])
def test_a_write_that_was_turned_away_is_made_once(times: int) -> None:
    done = told({"request_id": "r", "data": {"version": 5}})
    with Wire(token(), *[QUOTA] * times, done) as wire:
        assert opened(wire.url).write("app", {"n": 1}, 4).version == 5
        assert [heard.method for heard in wire.heard] == ["GET", *["POST"] * (times + 1)]


def test_a_login_waits_as_well() -> None:
    with Wire(QUOTA, login("hvs.x", 60), document()) as wire:
        assert opened(wire.url, role_id="role", secret_id=Secret("s")).read("app").version == 1


def test_the_time_that_vault_names_is_kept() -> None:
    busy = answer(429, b'{"errors": ["rate limit quota exceeded"]}', {"Retry-After": "1"})
    with Wire(token(), busy, document()) as wire:
        since = time.monotonic()
        assert opened(wire.url).read("app").version == 1
        assert time.monotonic() - since >= 1


@pytest.mark.parametrize("asked", ["", "120", "soon", "-1"])
def test_a_quota_that_stays_used_up_is_named_within_the_deadline(asked: str) -> None:
    headers = {"Retry-After": asked} if asked else {}
    busy = answer(429, b'{"errors": ["request path: rate limit quota exceeded"]}', headers)
    with Wire(token(), busy) as wire:
        since = time.monotonic()
        with pytest.raises(VaultRateLimited, match="rate limit quota") as caught:
            opened(wire.url, deadline=1.0).write("app", {"secret_key": CANARY}, 0)
        assert time.monotonic() - since < 3
    assert caught.value.exit_code == 75
    assert CANARY not in everything_told(caught.value)


def test_a_standbys_health_is_no_quota() -> None:
    well = told({"initialized": True, "sealed": False, "standby": True, "version": "2.7.2"}, 429)
    with Wire(well, told({"ha_enabled": True, "leader_address": "https://other:8200"})) as wire:
        health = opened(wire.url).health()
        assert (health.standby, health.leaderless) == (True, False)
