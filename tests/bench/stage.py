"""Where everything is measured: the sandbox with a policy for any number of targets, and workers for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

from worker.adapters.redis.client import connect
from worker.adapters.redis.keys import DUE
from worker.adapters.redis.state import SharedState, shared_state
from worker.sandbox.run import Sandbox, start_sandbox
from worker.sandbox.texts import MOUNT, STATE_PATH, SandboxOptions, policy

ANY_APP = "apps/+/object-storage"
PATIENCE = 600.0
"""Seconds until something that does not come is given up."""

LOOK = 0.02
NOTHING_MORE: Mapping[str, str] = MappingProxyType({})


class NothingMoves(RuntimeError):
    """What was waited for has not come."""


@dataclass
class Worker:
    """One worker process; its log is read as it grows."""

    process: subprocess.Popen[bytes]
    log: Path
    _read: int = 0
    _counts: dict[str, int] = field(default_factory=dict)
    _first: dict[str, datetime] = field(default_factory=dict)
    _last: dict[str, datetime] = field(default_factory=dict)

    def count(self, event: str) -> int:
        """How often an event was logged so far."""
        self._catch_up()
        return self._counts.get(event, 0)

    def first(self, event: str) -> datetime | None:
        """When an event was logged first."""
        return self._first.get(event)

    def last(self, event: str) -> datetime | None:
        """When an event was logged last."""
        return self._last.get(event)

    def forget(self) -> None:
        """Count from here on."""
        self._catch_up()
        for known in (self._counts, self._first, self._last):
            known.clear()

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self.process.terminate()
        self.process.wait(60)

    def _catch_up(self) -> None:
        with self.log.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        whole, newline, _ = new.rpartition(b"\n")
        self._read += len(whole) + len(newline)
        for line in whole.splitlines():
            self._take(line)

    def _take(self, line: bytes) -> None:
        if not line.startswith(b"{"):
            return
        told: dict[str, Any] = json.loads(line)
        event, at = str(told["event"]), datetime.fromisoformat(str(told["timestamp"]))
        self._counts[event] = self._counts.get(event, 0) + 1
        self._first.setdefault(event, at)
        self._last[event] = at


@dataclass(frozen=True, slots=True)
class Shape:
    """How the service is set up for one measurement. ``concurrency`` is that of each of so many ``processes``."""

    targets: int
    concurrency: int
    processes: int = 1
    every: str = "30d"
    grace: str = "24h"
    tick: str = "5s"
    audit_every: str = "24h"
    watch_every: str = "400d"
    """A watch would also rotate what the bench holds back."""
    history: int = 40
    metrics: str = ""
    """Where the worker serves metrics; nowhere if empty."""


@dataclass
class Stage:
    """The sandbox, running, and the workers started on it."""

    sandbox: Sandbox
    shape: Shape
    workers: list[Worker] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where files of this measurement may lie; gone afterwards."""
        return self.sandbox.folder

    def shared(self) -> SharedState:
        """What the workers share in Redis."""
        assert self.sandbox.valkey is not None
        return shared_state(connect(self.sandbox.valkey.url))

    def environment(self) -> dict[str, str]:
        """What a worker or a command needs."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
        # as Dockerfile, docker-compose.yml and config/systemd have it
        return kept | dict(self.sandbox.environment) | {"MALLOC_ARENA_MAX": "2"}

    def start(self, concurrency: int, *arguments: str, environment: Mapping[str, str] = NOTHING_MORE) -> Worker:
        """A worker process; ``environment`` is what it gets besides."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        command = [sys.executable, "-m", "worker.cli", "worker", "--concurrency", str(concurrency), *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env=self.environment() | dict(environment), stdout=output, stderr=subprocess.STDOUT
            )
        worker = Worker(process, log)
        self.workers.append(worker)
        return worker

    def wait_for(self, event: str, count: int, workers: list[Worker]) -> None:
        """Wait until the workers together have logged an event so often."""

        def come() -> bool:
            return sum(worker.count(event) for worker in workers) >= count

        wait_until(come, f"{count} times {event}, see {self.folder}", workers)

    def hold(self) -> None:
        """Let nothing be due: every target's next look is far away."""
        self.shared().due.schedule_missing(names(self.shape.targets), utc() + timedelta(days=100))

    def let_go(self, targets: Sequence[str]) -> None:
        """Let these be due now."""
        self.shared().client.zadd(DUE, dict.fromkeys(targets, time.time()))

    def stop_workers(self) -> None:
        """End every worker that still runs."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.stop()
        self.workers.clear()


def wait_until(
    holds: Callable[[], bool], what: str, workers: list[Worker], patience: float = PATIENCE, pause: float = LOOK
) -> None:
    """Look again and again, for so many seconds, with so many between. Raises NothingMoves."""
    until = time.monotonic() + patience
    while not holds():
        if time.monotonic() > until or any(worker.process.poll() is not None for worker in workers):
            raise NothingMoves(what)
        time.sleep(pause)


@contextmanager
def set_up(shape: Shape, **behaviour: object) -> Iterator[Stage]:
    """Start everything but workers, in a folder that is gone afterwards. ``behaviour`` is the simulator's."""
    with tempfile.TemporaryDirectory(prefix="bench-") as parent, _sandbox(Path(parent) / "sandbox", shape) as stage:
        stage.sandbox.simulator.admin.behave(record_s3="none", busy_calls=0, **behaviour)
        try:
            yield stage
        finally:
            stage.stop_workers()


@contextmanager
def _sandbox(folder: Path, shape: Shape) -> Iterator[Stage]:
    with start_sandbox(folder, SandboxOptions(targets=1, spread=0.0, linger=0.0), {}) as sandbox:
        assert sandbox.vault is not None
        sandbox.vault.admin.write_policy("hostup-rotator", policy([ANY_APP]))
        (folder / "rotator.toml").write_text(configuration(sandbox.simulator.hostup, shape), "utf-8")
        yield Stage(sandbox, shape)


def names(count: int) -> list[str]:
    """The names of so many targets."""
    return [f"target-{number:06}" for number in range(count)]


def path_of(name: str) -> str:
    """Where a target's app reads."""
    return ANY_APP.replace("+", name)


def configuration(hostup: str, shape: Shape) -> str:
    """A ``rotator.toml``."""
    head = f"""# Written by `rotator sandbox`, anew at each start.
[hostup]
base_url = "{hostup}"
parallel_creates = {min(64, shape.concurrency * shape.processes)}
[vault]
mount = "{MOUNT}"
state_path = "{STATE_PATH}"
[worker]
concurrency = {shape.concurrency}
tick = "{shape.tick}"
audit_every = "{shape.audit_every}"
watch_every = "{shape.watch_every}"
lease = "1m"
"""
    if shape.metrics:
        head += f'[metrics]\nlisten = "{shape.metrics}"\ntargets = "none"\n'
    each = (
        f'[[target]]\nname = "{name}"\npath = "{path_of(name)}"\nevery = "{shape.every}"\ngrace = "{shape.grace}"\n'
        for name in names(shape.targets)
    )
    return head + "".join(each)


def utc() -> datetime:
    """Now."""
    return datetime.now(UTC)
