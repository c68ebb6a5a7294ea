"""A worker's life in short: what it holds, and what it leaves in Redis, is the same after many looks as after few."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from tests.acceptance.service import Service, Worker
from tests.bench.processes import open_files, usage

FEW, MANY = 4, 16
MORE_MIB = 10.0


@dataclass(frozen=True, slots=True)
class Held:
    """By the worker: descriptors, threads, memory in MiB. In Redis: keys."""

    files: int
    threads: int
    memory: float
    keys: int


def held(service: Service, worker: Worker) -> Held:
    used = usage(worker.process.pid)
    return Held(open_files(worker.process.pid), used.threads, used.memory, int(service.redis.dbsize()))


@pytest.mark.skipif(os.geteuid() != 0, reason="a worker shows its descriptors to root only")
def test_what_is_held_is_flat(service: Service) -> None:
    service.every, service.grace, service.watch_every, service.audit_every = "2s", "1s", "1s", "2s"
    worker = service.start("--concurrency", "4")
    worker.wait_for("key.dead", FEW)
    before = held(service, worker)
    worker.wait_for("key.dead", MANY)
    after = held(service, worker)
    # a connection for each thread at most comes and goes, and so do locks, wake-ups and what is asked for just now
    assert after.files <= before.files + 4
    assert after.threads <= before.threads + 4
    assert after.keys <= before.keys + 4
    assert after.memory <= before.memory + MORE_MIB
