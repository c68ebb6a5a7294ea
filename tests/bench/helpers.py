"""How long a helper takes that programs start for every key, ``rotator credentials``: the package, and as one file."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import hvac  # type: ignore[import-untyped]  # it ships no types

from tests.bench.commands import TIMES, Command, timed
from tests.servers import start_vault

ROOT = Path(__file__).parents[2]
ARCHIVE = Path("dist") / "rotator-app.pyz"
PATH = "apps/media/object-storage"
COLD, KEPT = ("--no-cache",), ("--refresh", "1h")
LIMITS = {COLD: 150.0, KEPT: 60.0}
"""Milliseconds on a quiet machine (docs/performance.md): a program waits for each start."""


def helpers(times: int = TIMES) -> tuple[Command, ...]:
    """Each by TLS from a Vault on this machine, and from what was kept."""
    subprocess.run(["make", "app"], cwd=ROOT, check=True, capture_output=True)
    programs = ((str(Path(sys.executable).with_name("rotator")),), (sys.executable, str(ROOT / ARCHIVE)))
    with tempfile.TemporaryDirectory() as folder, start_vault(Path(folder) / "vault", tls=True) as server:
        vault = hvac.Client(url=server.address, token=server.root_token, verify=str(server.ca_file))
        secret = {"access_key": "AK1", "secret_key": "SK1", "endpoint": "https://s3.example", "region": "eu-north-1"}
        vault.secrets.kv.v2.create_or_update_secret(path=PATH, secret=secret)
        env = {
            "VAULT_ADDR": server.address,
            "VAULT_CACERT": str(server.ca_file),
            "VAULT_TOKEN": server.root_token,
            "XDG_RUNTIME_DIR": folder,
        }
        return tuple(
            replace(timed(env, "credentials", "--path", PATH, *how, program=program, times=times), limit_ms=limit)
            for program in programs
            for how, limit in LIMITS.items()
        )
