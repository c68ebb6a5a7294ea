"""What a worker says of itself: whether it lives, whether it can work, and of each login by itself; a real Valkey."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import cast

import pytest
import redis

from tests.doubles import MemoryHostUp, MemoryVault, one_account
from tests.integration.scene import ActingClock, runtime_with
from tests.records import NOW
from tests.scrape import value
from tests.unit.settings.configuring import TARGET, read
from worker.adapters.redis.state import shared_state
from worker.adapters.vault.calls import Health
from worker.adapters.vault.kv import VaultStore
from worker.errors import VaultUnavailable
from worker.rotation.records import RecordStore
from worker.rotation.services import Services
from worker.sandbox.servers import ValkeyServer
from worker.service.assemble import Runtime, policy
from worker.service.http_door import Answer
from worker.service.pages import own_text, pages

WELL = Health(initialized=True, sealed=False, standby=False, version="1")
SERIES = "vault_token_expiration_timestamp_seconds"
DESTINATIONS = """
[[destination]]
name = "cluster"
mount = "apps"
[[destination]]
name = "far"
mount = "apps"
address = "https://far.example:8200"
"""


@dataclass
class Vault:
    """What a Vault says of itself, and how long a token for it is good."""

    said: Health | VaultUnavailable = WELL
    left: float | None = None

    def health(self) -> Health:
        if isinstance(self.said, VaultUnavailable):
            raise self.said
        return self.said

    def token_ends_in(self) -> float | None:
        return self.left


class NothingCounted:
    def text(self) -> str:
        return ""


@pytest.fixture
def vault() -> Vault:
    return Vault()


@pytest.fixture
def runtime(tmp_path: Path, vault: Vault, client: redis.Redis, server: ValkeyServer) -> Runtime:
    settings = read(tmp_path, TARGET + DESTINATIONS, env={"REDIS_URL": server.url.reveal(), "VAULT_TOKEN_FAR": "far"})
    clock, memory = ActingClock(), MemoryVault()
    store = RecordStore(memory, settings.vault.state_path, clock)
    services = Services(one_account(MemoryHostUp()), memory, store, clock, policy(settings))
    return runtime_with(settings, services, shared_state(client), cast("VaultStore", vault), clock)


def _ask(runtime: Runtime, path: str, *, is_alive: bool = True) -> Answer:
    return pages(runtime, NothingCounted(), lambda: is_alive)[path]()


def test_a_worker_that_has_all_it_needs_is_ready(runtime: Runtime) -> None:
    answer = _ask(runtime, "/readyz")
    assert (answer.status, answer.text) == (HTTPStatus.OK, "redis: ok\nvault: ok\ntoken: ok\n")


@pytest.mark.parametrize(
    ("said", "left", "line"),
    [
        (replace(WELL, sealed=True), None, "vault: VaultSealed"),
        (replace(WELL, initialized=False), None, "vault: VaultSealed"),
        (replace(WELL, standby=True, leaderless=True), None, "vault: VaultNoLeader"),
        (VaultUnavailable("vault.example is away"), None, "vault: VaultUnavailable"),
        (WELL, 0.0, "token: VaultLoginFailed"),
        (WELL, -1.0, "token: VaultLoginFailed"),
    ],
)
def test_a_worker_that_cannot_use_vault_is_not_ready_and_says_why_in_a_word(
    runtime: Runtime, vault: Vault, said: Health | VaultUnavailable, left: float | None, line: str
) -> None:
    vault.said, vault.left = said, left
    answer = _ask(runtime, "/readyz")
    assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert [each for each in answer.text.splitlines() if not each.endswith(": ok")] == [line]
    assert _ask(runtime, "/livez").status == HTTPStatus.OK, "nothing outside has a worker restarted"


@pytest.mark.parametrize("left", [None, 1.0])
def test_a_token_that_lasts_or_that_nobody_asked_for_yet_holds_nothing_up(
    runtime: Runtime, vault: Vault, left: float | None
) -> None:
    vault.left = left
    assert _ask(runtime, "/readyz").status == HTTPStatus.OK


def test_a_worker_whose_pulse_has_stopped_does_not_live(runtime: Runtime) -> None:
    answer = _ask(runtime, "/livez", is_alive=False)
    assert (answer.status, answer.text) == (HTTPStatus.SERVICE_UNAVAILABLE, "process: its pulse has stopped\n")
    assert _ask(runtime, "/livez").text == "process: ok\n"


def test_each_login_has_its_own_token(runtime: Runtime, vault: Vault) -> None:
    vault.left, far = 60.0, Vault(left=600.0)
    elsewhere = {"cluster": cast("VaultStore", vault), "far": cast("VaultStore", far)}
    text = own_text(replace(runtime, elsewhere=elsewhere))
    assert value(text, SERIES) == NOW.timestamp() + 60
    assert value(text, SERIES + '{destination="far"}') == NOW.timestamp() + 600
    assert "cluster" not in text, "it shares the login of [vault]"
