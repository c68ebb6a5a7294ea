"""What the variables of Vault's own command say of TLS and of its proxy, over real sockets."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.contract.vault.answers import document, token
from tests.http_proxy import ForwardProxy
from tests.unit.settings.configuring import read
from tests.wire import EXAMPLE_PEM, LOOPBACK_PEM, Wire
from worker.adapters.vault.kv import VaultStore
from worker.adapters.vault.opening import open_vault
from worker.clock import SystemClock
from worker.errors import ConfigurationError, VaultUnavailable


def opened(folder: Path, address: str, **env: object) -> VaultStore:
    given: dict[str, Any] = {"VAULT_ADDR": address, **{name: str(value) for name, value in env.items()}}
    return open_vault(read(folder, env=given), SystemClock())


def test_a_client_certificate_is_shown(tmp_path: Path) -> None:
    with Wire(token(), document(), tls=True, client_ca=EXAMPLE_PEM) as wire:
        shown = {"VAULT_CLIENT_CERT": EXAMPLE_PEM, "VAULT_CLIENT_KEY": EXAMPLE_PEM}
        assert opened(tmp_path, wire.url, VAULT_CACERT=LOOPBACK_PEM, **shown).read("app").version == 1
        with pytest.raises(VaultUnavailable):
            opened(tmp_path, wire.url, VAULT_CACERT=LOOPBACK_PEM).read("app")


def test_a_folder_of_authorities(tmp_path: Path) -> None:
    folder = tmp_path / "authorities"
    folder.mkdir()
    asked = ["openssl", "x509", "-hash", "-noout", "-in", str(LOOPBACK_PEM)]
    name = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
    (folder / f"{name}.0").write_bytes(LOOPBACK_PEM.read_bytes())
    with Wire(token(), document(), tls=True) as wire:
        assert opened(tmp_path, wire.url, VAULT_CAPATH=folder).read("app").version == 1
        with pytest.raises(VaultUnavailable):
            opened(tmp_path, wire.url).read("app")


def test_the_name_that_the_certificate_is_for(tmp_path: Path) -> None:
    with Wire(token(), document(), tls=True, pem=EXAMPLE_PEM) as wire:
        trusted = {"VAULT_CACERT": EXAMPLE_PEM}
        named = opened(tmp_path, wire.url, VAULT_TLS_SERVER_NAME="vault.example", **trusted)
        assert named.read("app").version == 1
        for other in ({}, {"VAULT_TLS_SERVER_NAME": "elsewhere.example"}):
            with pytest.raises(VaultUnavailable):
                opened(tmp_path, wire.url, **trusted, **other).read("app")


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"VAULT_CLIENT_KEY": EXAMPLE_PEM}, "VAULT_CLIENT_CERT"),
        ({"VAULT_CLIENT_CERT": __file__}, "VAULT_CLIENT_CERT"),
        ({"VAULT_PROXY_ADDR": "nonsense://CANARY@"}, "VAULT_PROXY_ADDR"),
        ({"VAULT_PROXY_ADDR": "http://p:1", "VAULT_TLS_SERVER_NAME": "x"}, "VAULT_TLS_SERVER_NAME"),
    ],
)
def test_what_cannot_work_is_named_before_any_call(tmp_path: Path, env: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        opened(tmp_path, "https://vault.example", **env)
    assert named in caught.value.what
    assert "CANARY" not in str(caught.value)


def test_a_proxy_for_vault_alone(tmp_path: Path) -> None:
    with (
        Wire(token(), document(), tls=True, pem=EXAMPLE_PEM) as wire,
        ForwardProxy({"vault.example": wire.port}) as proxy,
    ):
        address = f"http://127.0.0.1:{proxy.port}"
        env = {"VAULT_PROXY_ADDR": address, "VAULT_CACERT": EXAMPLE_PEM, "NO_PROXY": "vault.example"}
        assert opened(tmp_path, "https://vault.example", **env).read("app").version == 1
        assert [asked.method for asked in proxy.asked] == ["CONNECT"]


def test_the_proxys_password_is_a_secret(tmp_path: Path) -> None:
    settings = read(tmp_path, env={"VAULT_PROXY_ADDR": "http://me:CANARY@proxy.example:3128"})
    assert "CANARY" in [secret.reveal() for secret in settings.secrets()]
    assert settings.proxies.to("https://vault.example") is None
