"""The bare scripts (:mod:`tests.bench.bare`) as child processes that are told when to work, and how much."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.bare import Job
from tests.bench.stage import Stage
from worker.sandbox.servers import VaultServer

ENDS_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What so many rotations took; CPU is of the measured processes alone."""

    rotations: int
    seconds: float
    cpu: float
    memory: float = 0.0


@dataclass(frozen=True, slots=True)
class Scripts:
    """Scripts of one kind that work at the same time."""

    children: tuple[subprocess.Popen[str], ...]

    def rotate(self, rotations: int) -> Turn:
        """Let them do so many rotations together."""
        each = rotations // len(self.children)
        for child in self.children:
            _say(child, str(each))
        told = [json.loads(_hear(child)) for child in self.children]
        seconds, cpu = max(one["seconds"] for one in told), sum(one["cpu"] for one in told)
        return Turn(each * len(self.children), seconds, cpu)


@contextmanager
def scripts(stage: Stage, kind: str, threads: int, processes: int) -> Iterator[Scripts]:
    """Start so many scripts of a kind, ready to work; ``threads`` are those of all together."""
    with ExitStack() as ends:
        children = tuple(
            ends.enter_context(_script(job_of(stage, kind, threads // processes))) for _ in range(processes)
        )
        for child in children:
            _hear(child)
        yield Scripts(children)


def job_of(stage: Stage, kind: str, threads: int) -> Job:
    """What a bare script is told."""
    vault = stage.sandbox.vault
    assert vault is not None
    return Job(
        kind=kind,
        threads=threads,
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


@contextmanager
def _script(job: Job) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.bench.bare"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        _say(child, json.dumps(asdict(job)))
        try:
            yield child
        finally:
            child.kill()


def _say(child: subprocess.Popen[str], line: str) -> None:
    assert child.stdin
    child.stdin.write(line + "\n")
    child.stdin.flush()


def _hear(child: subprocess.Popen[str]) -> str:
    assert child.stdout
    line = child.stdout.readline()
    if not line:
        raise RuntimeError(f"the bare script ended with {child.wait(ENDS_WITHIN)}")
    return line
