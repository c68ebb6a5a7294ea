"""Rotations per second and CPU per rotation: the service, and bare scripts beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.bare import Job
from tests.bench.processes import usage_of
from tests.bench.seed import seed
from tests.bench.stage import Shape, Stage, set_up
from worker.sandbox.servers import VaultServer

SEQUENTIAL = "requests_hvac"
DONE = "rotation.succeeded"


@dataclass(frozen=True, slots=True)
class Run:
    """One measurement. ``latency_ms`` is that of the HostUp API; CPU is of the measured processes alone."""

    what: str
    latency_ms: int
    concurrency: int
    processes: int
    rotations: int
    seconds: float
    cpu: float
    memory: float = 0.0

    @property
    def rate(self) -> float:
        """Rotations per second."""
        return self.rotations / self.seconds

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds for one rotation."""
        return self.cpu * 1000 / self.rotations

    @property
    def bound(self) -> float | None:
        """What the API's latency allows at this concurrency."""
        return self.concurrency / (self.latency_ms / 1000) if self.latency_ms else None

    def document(self) -> dict[str, object]:
        """For the JSON file."""
        return asdict(self) | {"rate": self.rate, "cpu_ms": self.cpu_ms, "bound": self.bound}


def service(targets: int, concurrency: int, processes: int, latency_ms: int) -> Run:
    """All targets due at once; ``concurrency`` is that of all processes together. From the first start to the last."""
    shape = Shape(targets, concurrency)
    with set_up(shape) as stage:
        seed(stage)
        stage.sandbox.simulator.admin.behave(latency_ms=latency_ms)
        return _rotate_all(stage, concurrency, processes, latency_ms)


def _rotate_all(stage: Stage, concurrency: int, processes: int, latency_ms: int) -> Run:
    stage.hold()
    share = concurrency // processes
    workers = [stage.start(share) for _ in range(processes)]
    stage.wait_for("worker.started", processes, workers)
    pids = [worker.process.pid for worker in workers]
    before = usage_of(pids)
    stage.let_go()
    stage.wait_for(DONE, stage.shape.targets, workers)
    after = usage_of(pids)
    began = min(at for worker in workers if (at := worker.first("rotation.started")))
    ended = max(at for worker in workers if (at := worker.last(DONE)))
    seconds = (ended - began).total_seconds()
    cpu = after.cpu - before.cpu
    return Run("service", latency_ms, concurrency, processes, stage.shape.targets, seconds, cpu, after.memory)


def bare(kind: str, rotations: int, concurrency: int, processes: int, latency_ms: int) -> Run:
    """The bare script of this kind, on as many threads in as many processes."""
    with set_up(Shape(1, concurrency), latency_ms=latency_ms) as stage:
        share, each = concurrency // processes, rotations // processes
        told = _run([job_of(stage, kind, share, each) for _ in range(processes)])
    seconds = max(one["seconds"] for one in told)
    cpu = sum(one["cpu"] for one in told)
    return Run(kind, latency_ms, concurrency, processes, each * processes, seconds, cpu)


def job_of(stage: Stage, kind: str, threads: int, rotations: int) -> Job:
    """What a bare script is told."""
    vault = stage.sandbox.vault
    assert vault is not None
    return Job(
        kind=kind,
        threads=threads,
        rotations=rotations,
        run=uuid.uuid4().hex,
        hostup=stage.sandbox.simulator.hostup,
        api_key=Path(stage.sandbox.environment["HOSTUP_API_KEY_FILE"]).read_text("utf-8").strip(),
        s3=stage.sandbox.simulator.s3,
        vault=vault.address,
        token=_token_of_worker(stage, vault),
    )


def _token_of_worker(stage: Stage, vault: VaultServer) -> str:
    told = stage.sandbox.environment
    secret_id = Path(told["VAULT_SECRET_ID_FILE"]).read_text("utf-8").strip()
    answer = vault.admin.call("POST", "auth/approle/login", {"role_id": told["VAULT_ROLE_ID"], "secret_id": secret_id})
    return str(answer["auth"]["client_token"])


def _run(jobs: list[Job]) -> list[dict[str, float]]:
    """All at once: each is told to go when all are ready."""
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.bench.bare"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in jobs
    ]
    try:
        for child, job in zip(children, jobs, strict=True):
            _say(child, json.dumps(asdict(job)))
        for child in children:
            _hear(child)
        for child in children:
            _say(child, "go")
        return [json.loads(_hear(child)) for child in children]
    finally:
        for child in children:
            child.kill()
            child.communicate()


def _say(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin
    child.stdin.write(line + "\n")
    child.stdin.flush()


def _hear(child: subprocess.Popen[str]) -> str:
    assert child.stdout
    line = child.stdout.readline()
    if not line:
        raise RuntimeError(f"the bare script ended with {child.wait()}")
    return line
