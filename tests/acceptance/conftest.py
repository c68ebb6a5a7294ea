"""A sandbox for each test process, and for each test a configuration of its own on it: names, paths, Redis database."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.acceptance.service import Service, sandbox_with_users
from worker.sandbox.run import Sandbox

_DATABASES = itertools.cycle(range(1, 16))


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox_with_users(tmp_path_factory.mktemp("sandbox")) as running:
        assert running.valkey
        with redis.Redis.from_url(running.valkey.url.reveal()) as server:
            yield running
            asked_for = {entry["object"] for entry in server.acl_log() if entry["username"] in ("worker", "app")}
            # check looks for other Celery apps by SCAN, and does without where it may not
            assert asked_for <= {"scan"}, "more rights than config/redis/users.acl gives"


@pytest.fixture
def service(sandbox: Sandbox, tmp_path: Path) -> Iterator[Service]:
    made = Service(sandbox, tmp_path, next(_DATABASES))
    yield made
    made.end()
