"""Podman and podman-compose, kept apart from whatever else the machine uses them for.

The stand-in images carry the names of the real ones. So they live in a store of their own, and nobody who has podman
for other purposes ever runs one by accident.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hostup-rotator"

# A container cannot raise limits that this machine does not grant, and Debian's crun does not start on cgroup v1.
_CONTAINERS_CONF = '[containers]\ndefault_ulimits = []\n[engine]\nruntime = "runc"\n'
_STORAGE_CONF = '[storage]\ndriver = "overlay"\ngraphroot = "{cache}/images"\nrunroot = "/run/hostup-rotator-test"\n'
_OWN_LIMITS = "--ulimit=host"


class CommandFailed(Exception):
    """A command ended with another exit code than 0."""


@dataclass(frozen=True, slots=True)
class Podman:
    """Runs podman and podman-compose with settings and a store of their own."""

    environment: dict[str, str]
    compose_command: tuple[str, ...]

    @classmethod
    def prepare(cls) -> Self:
        """Write the settings, install podman-compose; raises CommandFailed."""
        CACHE.mkdir(parents=True, exist_ok=True)
        (CACHE / "containers.conf").write_text(_CONTAINERS_CONF)
        (CACHE / "storage.conf").write_text(_STORAGE_CONF.format(cache=CACHE))
        environment = {
            **os.environ,
            "CONTAINERS_CONF": str(CACHE / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(CACHE / "storage.conf"),
            "BUILDAH_FORMAT": "docker",  # the other format knows no HEALTHCHECK
        }
        files = ("--file", "docker-compose.yml", "--file", "tests/compose/hosts.yml")
        options = (f"--podman-run-args={_OWN_LIMITS}", *files, "--profile", "sandbox", "--profile", "monitoring")
        return cls(environment, (str(_podman_compose()), *options))

    def run(self, *arguments: str, both: bool = False) -> str:
        """``podman ARGUMENTS``, its standard output, or ``both`` outputs; raises CommandFailed."""
        return run(("podman", *arguments), self.environment, both=both)

    def compose(self, *arguments: str) -> str:
        """``podman-compose ARGUMENTS`` on docker-compose.yml with both of its profiles; raises CommandFailed."""
        return run((*self.compose_command, *arguments), self.environment)

    def inspect(self, container: str) -> dict[str, Any]:
        """What podman knows about a container; raises CommandFailed."""
        found: list[dict[str, Any]] = json.loads(self.run("inspect", container))
        return found[0]


def run(command: Sequence[str], environment: dict[str, str] | None = None, *, both: bool = False) -> str:
    """Run to the end, its standard output, or ``both`` outputs; raises CommandFailed with what it said."""
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        message = f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        raise CommandFailed(message)
    return done.stdout + done.stderr if both else done.stdout


def _podman_compose() -> Path:
    """podman-compose in its locked version, in an environment of its own: it is no dependency of the project."""
    lock = REPOSITORY / "requirements" / "compose.txt"
    home = CACHE / f"podman-compose-{sys.version_info.major}.{sys.version_info.minor}"
    installed = home / "installed.txt"
    if not installed.exists() or installed.read_text() != lock.read_text():
        venv.create(home, with_pip=True, clear=True)
        run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)])
        installed.write_text(lock.read_text())
    return home / "bin" / "podman-compose"
