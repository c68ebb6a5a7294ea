"""``rotator check`` on a network where everything outside is reached by way of a proxy only."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.http_proxy import ForwardProxy
from tests.wire import EXAMPLE_PEM, Wire, answer

CONFIG = """
[hostup]
base_url = "https://hostup.example"

[storage]
endpoint = "https://storage.example"
region = "eu-north-1"

[[target]]
name = "media"
path = "apps/media"
every = "30d"
grace = "24h"
"""
STATUS = {"success": True, "requestId": "r", "data": {"provisioned": True, "keyCount": 3}}
HEALTH = {"initialized": True, "sealed": False, "standby": False, "version": "1.21.4"}
DEAD = b"<Error><Code>InvalidAccessKeyId</Code></Error>"
PASSWORD = "hush-hush-hush"


def check(folder: Path, **environment: str) -> tuple[dict[str, Any], str]:
    """What the command says, by the name of what it looked at; and all that it prints."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        env = {
            "PATH": os.environ["PATH"],
            "ROTATOR_CONFIG": str(folder / "rotator.toml"),
            "HOSTUP_API_KEY": "hostup-api-key",
            "VAULT_ADDR": "https://vault.example:8200",
            "VAULT_CACERT": str(EXAMPLE_PEM),
            "VAULT_TOKEN": "hvs.token",
            "REDIS_URL": f"redis://127.0.0.1:{nobody.getsockname()[1]}/0",
            "SSL_CERT_FILE": str(EXAMPLE_PEM),
        }
        command = [sys.executable, "-m", "worker.cli", "check", "--json"]
        done = subprocess.run(command, env=env | environment, capture_output=True, text=True, check=False, timeout=60)
    return {line["check"]: line for line in json.loads(done.stdout)}, done.stdout + done.stderr


def test_each_service_says_which_proxy_leads_to_it(tmp_path: Path) -> None:
    (tmp_path / "rotator.toml").write_text(CONFIG, encoding="utf-8")
    with (
        Wire(answer(200, json.dumps(STATUS).encode()), tls=True, pem=EXAMPLE_PEM) as hostup,
        Wire(answer(200, json.dumps(HEALTH).encode()), tls=True, pem=EXAMPLE_PEM) as vault,
        Wire(answer(403, DEAD), tls=True, pem=EXAMPLE_PEM) as storage,
    ):
        ports = {"hostup.example": hostup.port, "vault.example": vault.port, "storage.example": storage.port}
        with ForwardProxy(ports, f"worker:{PASSWORD}") as proxy:
            address = f"127.0.0.1:{proxy.port}"
            login = f"http://worker:{PASSWORD}@{address}"
            found, said = check(tmp_path, HTTPS_PROXY=login)
            wrong, said_of_wrong = check(tmp_path, HTTPS_PROXY=f"http://worker:{PASSWORD}-wrong@{address}")
            direct, _ = check(tmp_path, HTTPS_PROXY=login, NO_PROXY=".example,example")
    for part in ("HostUp", "Vault", "object storage"):
        assert found[part]["state"] == "ok"
        assert found[part]["detail"].endswith(f"by way of the proxy {address}")
        assert wrong[part]["state"] == "failed"
        assert f"the proxy {address} refused the connection: it answered 407" in wrong[part]["detail"]
        assert "proxy" not in direct[part]["detail"]
    assert PASSWORD not in said + said_of_wrong


def test_a_proxy_that_is_none_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "rotator.toml").write_text(CONFIG, encoding="utf-8")
    found, said = check(tmp_path, HTTPS_PROXY=f"socks5://worker:{PASSWORD}@127.0.0.1:1080")
    assert found["configuration"]["detail"].startswith("environment: HTTPS_PROXY: must be the address of a proxy")
    assert PASSWORD not in said
