"""Apps' helpers see whom they talk to, as the worker does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.vault.answers import document
from tests.wire import EXAMPLE_PEM, LOOPBACK_PEM, Wire
from worker.credentials.environment import Server, server_from
from worker.credentials.vault import Vault
from worker.errors import ConfigurationError, VaultUnavailable
from worker.secret import Secret


def _read(server: Server) -> int:
    return Vault(server).read("secret", "apps/a", Secret("t"))[1]


def test_the_name_that_the_certificate_is_for() -> None:
    with Wire(document(), document(), tls=True, pem=EXAMPLE_PEM) as wire:
        assert _read(Server(wire.url, ca_file=str(EXAMPLE_PEM), tls_name="vault.example")) == 1
        for other in ("", "elsewhere.example"):
            with pytest.raises(VaultUnavailable, match="certificate was refused"):
                _read(Server(wire.url, ca_file=str(EXAMPLE_PEM), tls_name=other))


def test_a_certificate_of_its_own() -> None:
    with Wire(document(), document(), tls=True, client_ca=EXAMPLE_PEM) as wire:
        shown = {"client_cert": str(EXAMPLE_PEM), "client_key": str(EXAMPLE_PEM)}
        assert _read(Server(wire.url, ca_file=str(LOOPBACK_PEM), **shown)) == 1
        with pytest.raises(VaultUnavailable):
            _read(Server(wire.url, ca_file=str(LOOPBACK_PEM)))


def test_the_name_and_a_proxy_do_not_go_together() -> None:
    env = {"VAULT_ADDR": "https://v:1", "VAULT_TLS_SERVER_NAME": "vault.example"}
    assert server_from(env).tls_name == "vault.example"
    with pytest.raises(ConfigurationError, match="VAULT_TLS_SERVER_NAME"):
        server_from({**env, "VAULT_PROXY_ADDR": "http://p:1"})


@pytest.mark.parametrize(
    ("variable", "content"), [("VAULT_CACERT", None), ("VAULT_CACERT", "no PEM"), ("VAULT_CLIENT_CERT", "no PEM")]
)
@pytest.mark.parametrize("command", ["credentials", "render", "run", "serve-credentials"])
def test_files_that_cannot_be_loaded_are_named(
    tmp_path: Path, command: str, variable: str, content: str | None
) -> None:
    file = tmp_path / "file"
    if content:
        file.write_text(content)
    env = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(tmp_path), "VAULT_ADDR": "https://127.0.0.1:1"}
    env |= {"VAULT_TOKEN": "t", variable: str(file)}
    more = {
        "credentials": [],
        "render": ["--to", str(tmp_path / "key")],
        "run": ["--", "true"],
        "serve-credentials": ["--listen", "127.0.0.1:0"],
    }[command]
    words = [sys.executable, "-m", "worker.cli", command, "--path", "apps/a", *more]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, variable in done.stderr) == (78, True), done.stderr
