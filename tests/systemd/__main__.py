"""Boot a Debian, install the worker and the apps' units, rotate, freeze the worker, stop it; exit 0: all is well."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.compose.podman import CommandFailed
from tests.systemd import scenario
from tests.systemd.machine import booted, bootstrap
from worker.sandbox.run import start_sandbox
from worker.sandbox.texts import SandboxOptions

NEEDED = ("debootstrap", "unshare", "nsenter")
OPTIONS = SandboxOptions(targets=1, every="12s", grace="8s", spread=0.2, linger=0.2)
STEPS: tuple[Callable[[scenario.Scene], None], ...] = (
    scenario.install,
    scenario.start_the_app_first,
    scenario.start_the_worker,
    scenario.start_the_endpoint,
    scenario.check_confinement,
    scenario.freeze_the_worker,
    scenario.check_the_apps,
    scenario.stop_in_order,
)


def main() -> int:
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        say(f"systemd-test: FAILED: it runs as root and needs {', '.join(NEEDED)}. On Debian: debootstrap, util-linux")
        return 1
    started = time.monotonic()
    try:
        run()
    except (AssertionError, CommandFailed) as error:
        say(f"systemd-test: FAILED after {time.monotonic() - started:.0f} s: {error}")
        return 1
    say(f"systemd-test: all well, {time.monotonic() - started:.0f} s")
    return 0


def run() -> None:
    files = bootstrap()
    with (
        tempfile.TemporaryDirectory() as folder,
        start_sandbox(Path(folder) / "sandbox", OPTIONS, {}) as sandbox,
        booted(files) as machine,
    ):
        scene = scenario.Scene(machine, sandbox)
        try:
            for step in STEPS:
                began = time.monotonic()
                step(scene)
                say(f"systemd-test: {step.__name__.replace('_', ' ')}: {time.monotonic() - began:.1f} s")
        except BaseException:
            say(machine.run("journalctl", "--no-pager", "--lines=150"))
            raise


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
