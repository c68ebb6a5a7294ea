"""Bring docker-compose.yml's sandbox up, rotate, kill the worker, rotate again, take it down; exit 0: all is well."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.compose import images, scenario
from tests.compose.podman import CommandFailed, Podman

NEEDED = ("podman", "runc", "iptables", "debootstrap", "tar", "prometheus")
HINT = "apt-get install podman runc netavark iptables debootstrap prometheus"


def main() -> int:
    missing = [name for name in NEEDED if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        say(f"compose-test: FAILED: it runs as root and needs {', '.join(NEEDED)}. On Debian: {HINT}")
        return 1
    started = time.monotonic()
    try:
        run()
    except (AssertionError, CommandFailed) as error:
        say(f"compose-test: FAILED after {time.monotonic() - started:.0f} s: {error}")
        return 1
    say(f"compose-test: all well, {time.monotonic() - started:.0f} s")
    return 0


def run() -> None:
    with stage("podman-compose"):
        podman = Podman.prepare()
    with stage("base image"):
        images.make_base(podman)
    with stage("images of Valkey, Vault and Prometheus"):
        images.make_servers(podman)
    with stage("image of the worker"):
        podman.compose("build", *images.build_arguments(), "worker")
    with stage("down, in case an earlier run was killed"):
        podman.compose("down", "--volumes")
    try:
        rotate_and_kill(podman)
    except BaseException:
        show_logs(podman)
        raise
    finally:
        with stage("down"):
            podman.compose("down", "--volumes")
    scenario.check_nothing_is_left(podman)


def rotate_and_kill(podman: Podman) -> None:
    with stage("up"):
        podman.compose("up", "--detach", "--no-build")
    with stage("healthy and ready"):
        scenario.wait_until_healthy(podman)
        scenario.wait_until_ready(podman)
    scenario.check_confinement(podman)
    secrets = scenario.given_secrets()
    with stage("rotate"):
        scenario.rotate(podman, scenario.BACKUPS)
        secrets |= scenario.published_secrets(podman)
    with stage("Prometheus has seen it"):
        scenario.wait_until_scraped(podman)
    with stage("ask, kill the worker, start it; rotate"):
        scenario.kill_under_way(podman, scenario.BACKUPS)
        secrets |= scenario.published_secrets(podman)
        scenario.rotate(podman, scenario.BACKUPS)
    with stage("crash the worker; rotate"):
        scenario.crash(podman)
        scenario.rotate(podman, scenario.BACKUPS)
        secrets |= scenario.published_secrets(podman)
    with stage("healthy, and nothing leaked"):
        scenario.wait_until_healthy(podman)
        scenario.check_nothing_leaked(podman, secrets)
    with stage("stop the worker"):
        scenario.stop_in_order(podman)


def show_logs(podman: Podman) -> None:
    for name in podman.run("ps", "--all", "--format", "{{.Names}}").split():
        with suppress(CommandFailed):
            say(f"--- {name}\n{podman.run('logs', '--tail', '40', name, both=True)}")


@contextmanager
def stage(name: str) -> Iterator[None]:
    started = time.monotonic()
    say(f"compose-test: {name} ...")
    yield
    say(f"compose-test: {name}: {time.monotonic() - started:.1f} s")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
