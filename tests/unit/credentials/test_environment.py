"""What the environment says of Vault is held against what can be sent, before anything is; no secret is shown."""

from __future__ import annotations

import pytest

from worker.credentials.environment import login_from, server_from
from worker.errors import ConfigurationError

GOOD = "https://vault.example:8200"


@pytest.mark.parametrize(
    "value", ["CANARY\n", "CANARY\r\n", "CANARY\nX-Other: 1", "CANARY 1", "CANARY\t", "CANARY\u20ac", "CANARY\udcff"]
)
@pytest.mark.parametrize("name", ["VAULT_TOKEN", "VAULT_SECRET_ID", "VAULT_NAMESPACE", "VAULT_AUTH_NAMESPACE"])
def test_what_cannot_be_sent_in_a_header_is_named_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"environment: {name}: must be one word") as raised:
        login_from({"VAULT_ADDR": GOOD, name: value})
    assert "CANARY" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_a_namespace_goes_with_the_reads_too() -> None:
    with pytest.raises(ConfigurationError, match="VAULT_NAMESPACE: must be one word"):
        server_from({"VAULT_ADDR": GOOD, "VAULT_NAMESPACE": "team\n"})
    assert server_from({"VAULT_ADDR": GOOD, "VAULT_NAMESPACE": "team/a"}).namespace == "team/a"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "vault.example",
        "ftp://vault.example",
        "https://",
        "https://:8200",
        "https://[::1",
        "https://[vault]",
        "https://vault..example",
        "https://.vault.example",
        f"https://{'v' * 64}.example",
        "https://v\xe5lt.example",
        "https://vault\n.example",
        "https://vault.example:eight",
        "https://vault.example:99999",
        "https://vault.example:0",
        "https://me:CANARY@vault.example",
    ],
)
def test_an_address_that_nobody_can_call_is_named(address: str) -> None:
    with pytest.raises(ConfigurationError, match="VAULT_ADDR: must be set, such as") as raised:
        server_from({"VAULT_ADDR": address})
    assert "CANARY" not in str(raised.value)


@pytest.mark.parametrize("more", ["/v1", "/v1/", "?", "?a=b", "#", "#a"])
def test_an_address_is_no_more_than_that(more: str) -> None:
    with pytest.raises(ConfigurationError, match="leave out what follows the port"):
        server_from({"VAULT_ADDR": GOOD + more})


@pytest.mark.parametrize(
    "address",
    [
        GOOD,
        f"{GOOD}/",
        f" {GOOD}\n",
        "http://127.0.0.1:8200",
        "http://[::1]:8200",
        "https://vault.example.",
        "http://v",
    ],
)
def test_an_address_that_is_one_is_taken(address: str) -> None:
    assert server_from({"VAULT_ADDR": address}).address == address.strip().rstrip("/")
