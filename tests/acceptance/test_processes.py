"""A worker as containers and bad days have it: it works, or says what is wrong and ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.service import Service, Worker
from tests.sandbox import is_running, wait_until

WORKER = (sys.executable, "-m", "worker.cli", "worker")
ALLOWED = os.geteuid() == 0 and shutil.which("unshare") is not None
confined = pytest.mark.skipif(not ALLOWED, reason="needs root, and unshare of util-linux")

READ_ONLY = """
mkdir -p "$0" && mount -t tmpfs -o size=4k tmpfs "$0" && head -c 4096 /dev/zero > "$0/full"
mount -o remount,bind,ro / && export TMPDIR="$0" && shift 0 && exec "$@"
"""


def run(service: Service, *command: str) -> Worker:
    """A worker by this command line."""
    log = service.folder / f"worker-{len(service.workers)}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=service.environment(), stdout=output, stderr=subprocess.STDOUT)
    worker = Worker(process, log)
    service.workers.append(worker)
    return worker


def first_child(pid: int) -> int:
    """The process that another one started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    wait_until(lambda: children.read_text() != "", "a child")
    return int(children.read_text().split()[0])


@confined
def test_as_the_first_process_of_a_container(service: Service) -> None:
    worker = run(service, "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *WORKER)
    worker.wait_for("rotation.succeeded")
    service.rotate()
    os.kill(first_child(worker.process.pid), signal.SIGTERM)
    assert worker.process.wait(60) == 0
    assert worker.events("worker.stopped")


def ended_children(pid: int) -> int:
    """How many processes have ended, of whose end this one has to take note."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return len([child for child in children if not is_running(int(child))])


@confined
def test_what_a_program_left_behind_there_stays_in_no_table(service: Service, tmp_path: Path) -> None:
    program = tmp_path / "tell"
    program.write_text("#!/bin/sh\nsetsid sh -c 'sleep 0.2' >/dev/null 2>&1 &\n")
    program.chmod(0o755)
    service.tables = f'[[notify]]\nname = "program"\nkind = "command"\nrun = ["{program}"]\nevents = ["published"]\n'
    worker = run(service, "unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *WORKER)
    first = first_child(worker.process.pid)
    worker.wait_for("rotation.succeeded")
    wait_until(lambda: ended_children(first) > 0, "an orphan has ended")
    wait_until(lambda: ended_children(first) == 0, "the worker takes note of it")
    os.kill(first, signal.SIGTERM)
    assert worker.process.wait(60) == 0
    assert not worker.events("error.uncaught")


@confined
def test_as_a_user_whom_nobody_knows_and_without_a_home(service: Service) -> None:
    assert "HOME" not in service.environment()
    worker = run(service, "unshare", "--user", "--map-user=54321", "--map-group=54321", *WORKER)
    worker.wait_for("rotation.succeeded")
    service.rotate()
    assert not worker.events("error.uncaught")
    assert worker.stop() == 0


@confined
def test_with_a_root_that_is_read_only_and_a_full_folder_for_temporary_files(service: Service, tmp_path: Path) -> None:
    service.more = {"ROTATOR_HEALTH_FILE": str(tmp_path / "full" / "health")}
    (tmp_path / "full").mkdir()
    worker = run(service, "unshare", "--mount", "sh", "-c", READ_ONLY, str(tmp_path / "full"), *WORKER)
    worker.wait_for("rotation.succeeded")
    service.rotate()
    assert not worker.events("error.uncaught")
    assert worker.stop() == 0


def test_with_a_closed_stdout_it_says_so_and_ends(service: Service) -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *WORKER],
        env=service.environment(),
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "stdout" in done.stderr


def test_a_reader_of_its_log_that_is_stuck_holds_nothing_up(service: Service) -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    service.every, service.grace, service.watch_every = "2s", "1s", "1s"
    process = subprocess.Popen(WORKER, env=service.environment(), stdout=writing, stderr=subprocess.DEVNULL)
    os.close(writing)
    worker = Worker(process, service.folder / "unread.log")
    service.workers.append(worker)
    try:
        wait_until(lambda: len(service.made()) >= 8, "eight keys, with nobody reading the log")
        assert worker.stop() == 0
    finally:
        os.close(reading)
