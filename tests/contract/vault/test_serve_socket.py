"""``rotator serve-credentials`` on a Unix socket: what it prints works, and nothing is left at its end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import hvac  # type: ignore[import-untyped]  # it ships no types

from tests.servers import start_vault


def test_a_key_comes_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "keys.sock"
    with start_vault(tmp_path / "vault") as server:
        client: Any = hvac.Client(url=server.address, token=server.root_token)
        client.secrets.kv.v2.create_or_update_secret(path="apps/a", secret={"access_key": "AK1", "secret_key": "SK1"})
        env = {
            "PATH": os.environ["PATH"],
            "VAULT_ADDR": server.address,
            "VAULT_TOKEN": server.root_token,
            "XDG_RUNTIME_DIR": str(tmp_path),
        }
        command = [sys.executable, "-m", "worker.cli", "serve-credentials", "--path", "apps/a"]
        with subprocess.Popen(
            [*command, "--listen", f"unix:{path}"], env=env, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "# apps/a\n"
                curl, _, socket, _, _, url = shlex.split(process.stdout.readline())
                assert (curl, socket) == ("curl", str(path))
                token = (tmp_path / "hostup-rotator" / "endpoint-token").read_text()
                with httpx.Client(transport=httpx.HTTPTransport(uds=socket)) as asking:
                    assert asking.get(url, headers={"Authorization": token}).json()["AccessKeyId"] == "AK1"
                process.send_signal(signal.SIGTERM)
                assert process.wait(30) == 0
            finally:
                process.kill()
    assert not path.exists()
