"""The API key in Vault: read at first use and again, kept while Vault is away, and what a refusal leads to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.doubles import MemoryClock, MemoryVault
from tests.keys import FIRST, PATH, Failing
from tests.unit.adapters.hostup_answering import LONG, body, created, v1
from tests.wire import Step, Wire, answer
from worker.adapters.hostup.api_key import FRESH_SECONDS, PATIENCE_SECONDS, KeyInVault
from worker.adapters.hostup.client import HostUpClient
from worker.adapters.http.client import HttpClient
from worker.adapters.http.deadline import within
from worker.adapters.redis.circuit import is_of_account
from worker.errors import HostUpKeyMissing, HostUpKeyRolled, HostUpRefused, VaultDenied, VaultUnavailable
from worker.secret import Secret

REFUSED = answer(401, v1("UNAUTHORIZED", "Invalid API key"))
STATUS = answer(200, body({"provisioned": True, "keyCount": 1}))
SECOND = {"api_key": "api-key-number-1", "key_id": "key_1"}


@dataclass
class Key:
    """A key in Vault, and what is known of it."""

    clock: MemoryClock = field(default_factory=MemoryClock)
    vault: MemoryVault = field(default_factory=MemoryVault)
    rolling: bool = False
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.vault.versions[PATH] = [dict(FIRST)]
        self.key = KeyInVault(
            self.vault, PATH, self.clock, lambda: self.rolling, on_new=lambda secret: self.told.append(secret.reveal())
        )

    def put(self, data: dict[str, str]) -> None:
        self.vault.versions[PATH].append(data)

    @property
    def now(self) -> str:
        return self.key.current().reveal()

    def instead(self, refused: str) -> str | None:
        with within(60):
            other = self.key.other_than(Secret(refused))
        return other.reveal() if other else None


def test_it_is_read_at_first_use_only() -> None:
    key = Key()
    key.vault.versions.clear()
    KeyInVault(key.vault, PATH, key.clock, lambda: False)  # no call
    with pytest.raises(HostUpKeyMissing):
        key.key.current()


def test_another_key_is_used_within_seconds_and_the_redaction_is_told_first() -> None:
    key = Key()
    assert key.now == FIRST["api_key"]
    key.put(SECOND)
    assert key.now == FIRST["api_key"]
    key.clock.sleep(FRESH_SECONDS)
    assert key.now == SECOND["api_key"]
    assert key.told == [FIRST["api_key"], SECOND["api_key"]]


def test_after_a_refusal_it_is_read_at_once() -> None:
    key = Key()
    assert key.now
    key.put(SECOND)
    assert key.instead(FIRST["api_key"]) == SECOND["api_key"]
    assert key.now == SECOND["api_key"]


def test_without_a_roll_a_refusal_is_not_waited_for() -> None:
    key = Key()
    before = key.clock.monotonic()
    assert key.instead(FIRST["api_key"]) is None
    assert key.clock.monotonic() == before


def test_while_it_is_rolled_the_next_key_is_waited_for_but_not_for_long() -> None:
    key = Key(rolling=True)
    assert key.instead(FIRST["api_key"]) is None
    assert PATIENCE_SECONDS <= key.clock.monotonic() <= PATIENCE_SECONDS + 1


@pytest.mark.parametrize("trouble", [VaultUnavailable("away"), VaultDenied("no")])
def test_the_last_good_value_is_used_while_vault_cannot_be_read(trouble: Exception) -> None:
    key = Key()
    assert key.now
    key.vault.gate = Failing({"vault read": [trouble] * 3})
    key.clock.sleep(FRESH_SECONDS)
    assert key.now == FIRST["api_key"]
    key.put(SECOND)
    key.clock.sleep(100)
    key.vault.gate = Failing({})
    assert key.now == SECOND["api_key"]


UNUSABLE: dict[str, tuple[Callable[[Key], None], str]] = {
    "nothing there": (lambda key: key.vault.versions.clear(), "not there"),
    "deleted": (lambda key: key.vault.soft_delete(PATH), "deleted"),
    "destroyed": (lambda key: key.vault.destroy(PATH, 1), "destroyed"),
    "no such field": (lambda key: key.put({"key": "x"}), "no field api_key"),
    "empty": (lambda key: key.put({"api_key": ""}), "no field api_key"),
    "two words": (lambda key: key.put({"api_key": "two words"}), "one word"),
    "no permission": (lambda key: setattr(key.vault, "gate", Failing({"vault read": [VaultDenied("no")]})), "no"),
}


@pytest.mark.parametrize(("spoil", "said"), UNUSABLE.values(), ids=UNUSABLE)
def test_what_is_wrong_is_said_clearly(spoil: Callable[[Key], None], said: str) -> None:
    key = Key()
    spoil(key)
    with pytest.raises(HostUpKeyMissing) as caught:
        key.key.current()
    assert said in caught.value.what
    assert f"secret/{PATH}" in caught.value.what or said == "no"
    assert "two words" not in str(caught.value)


def client_of(client: HttpClient, wire: Wire, key: Key) -> HostUpClient:
    return HostUpClient(client, wire.url, key.key, create_deadline=LONG, deadline=LONG)


def rolling(key: Key, then: Step) -> Step:
    """The key is replaced in Vault while a call is under way."""

    def step(*args: object) -> bool:
        key.put(SECOND)
        return then(*args)  # type: ignore[arg-type]  # a step's own

    return step


def test_a_call_under_way_is_made_again_by_the_next_key(client: HttpClient) -> None:
    key = Key(rolling=True)
    with Wire(rolling(key, REFUSED), answer(200, created())) as wire:
        assert client_of(client, wire, key).create_key("a label").access_key == "AKIAEXAMPLE"
        assert [heard.headers["x-api-key"] for heard in wire.heard] == [FIRST["api_key"], SECOND["api_key"]]


CALLS: dict[str, Callable[[HostUpClient], object]] = {
    "create": lambda hostup: hostup.create_key("a label"),
    "delete": lambda hostup: hostup.delete_key("AKIAEXAMPLE"),
    "status": lambda hostup: hostup.status(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_refusal_while_it_is_rolled_says_nothing_of_the_account(
    client: HttpClient, call: Callable[[HostUpClient], object]
) -> None:
    key = Key(rolling=True)
    with Wire(REFUSED) as wire, pytest.raises(HostUpKeyRolled) as caught:
        call(client_of(client, wire, key))
    assert not is_of_account(caught.value)
    assert FIRST["api_key"] not in str(caught.value)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_any_other_refusal_does(client: HttpClient, call: Callable[[HostUpClient], object]) -> None:
    key = Key()
    with Wire(REFUSED) as wire, pytest.raises(HostUpRefused) as caught:
        call(client_of(client, wire, key))
    assert is_of_account(caught.value)
    assert len(wire.heard) == 1


def test_without_a_key_nothing_is_sent(client: HttpClient) -> None:
    key = Key()
    key.vault.versions.clear()
    with Wire(STATUS) as wire, pytest.raises(HostUpKeyMissing):
        client_of(client, wire, key).status()
    assert wire.heard == []
