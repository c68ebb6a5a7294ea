"""The health check of containers: asks the worker where it listens, else looks at the file; real HTTP, a real file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from tests.servers import free_port
from worker.service.http_door import Answer, HttpDoor
from worker.settings.metrics import Listen


def check(**variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "worker.service.health"],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(params=[HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE])
def answering(request: pytest.FixtureRequest) -> Iterator[tuple[HTTPStatus, int]]:
    port = free_port()
    door = HttpDoor(Listen("127.0.0.1", port), {"/livez": lambda: Answer(request.param, "")})
    door.keep_open()
    yield request.param, port
    door.close()


def test_the_worker_is_asked_where_it_listens(answering: tuple[HTTPStatus, int]) -> None:
    status, port = answering
    well = 0 if status is HTTPStatus.OK else 1
    assert check(ROTATOR_METRICS_LISTEN=f"127.0.0.1:{port}").returncode == well
    assert check(ROTATOR_METRICS_LISTEN=f"0.0.0.0:{port}").returncode == well


def test_where_nobody_listens_the_file_tells(tmp_path: Path) -> None:
    file = tmp_path / "alive"
    variables = {"ROTATOR_HEALTH_FILE": str(file), "ROTATOR_METRICS_LISTEN": f"127.0.0.1:{free_port()}"}
    assert check(**variables).returncode == 1
    file.touch()
    done = check(**variables)
    assert done.returncode == 0
    assert done.stdout.startswith("last sign of life ")
    long_ago = time.time() - 61
    os.utime(file, (long_ago, long_ago))
    assert check(**variables).returncode == 1


def test_without_either_there_is_nothing_to_look_at() -> None:
    done = check()
    assert (done.returncode, done.stderr) == (78, "ROTATOR_HEALTH_FILE is not set\n")
