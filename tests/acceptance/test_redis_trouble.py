"""Redis that cannot be used, or that never can, and a real worker: said once, in words, and over by itself."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.service import Service
from tests.acceptance.test_command import run
from tests.integration.test_redis_refuses import cluster
from worker.adapters.redis import keys


def test_a_redis_that_is_full_is_told_once_when_it_begins_and_once_when_it_ends(service: Service) -> None:
    worker = service.start()
    worker.wait_for("rotation.succeeded")
    service.redis.config_set("maxmemory", 1)
    try:
        told = worker.wait_for("queue.unavailable")
        assert "out of memory" in told["error"]
        assert "(OOM)" in told["error"]
        assert "maxmemory" in told["hint"]
    finally:
        service.redis.config_set("maxmemory", 0)
    worker.wait_for("queue.available")
    assert worker.process.poll() is None
    errors = [event["error"] for event in worker.events("queue.unavailable")]
    assert len(errors) == len(set(errors)), "each trouble is said once"
    service.rotate()


def test_a_cluster_is_refused_at_the_start_with_words(service: Service, tmp_path: Path) -> None:
    with cluster(tmp_path) as port:
        done = run(service, "worker", REDIS_URL_FILE="", REDIS_URL=f"redis://127.0.0.1:{port}")
    assert done.code == 78
    assert "REDIS_URL: cannot be used: it is a cluster" in done.out + done.err
    assert "Traceback" not in done.out + done.err


def test_a_worker_whose_health_file_cannot_be_written_is_there_all_the_same(service: Service) -> None:
    service.more = {"ROTATOR_HEALTH_FILE": "/proc/none/health"}
    worker = service.start()
    told = worker.wait_for("pulse.failed", 2)
    assert "health file cannot be written" in told["error"]
    worker.wait_for("rotation.succeeded")
    assert service.redis.zcard(keys.WORKERS) == 1
