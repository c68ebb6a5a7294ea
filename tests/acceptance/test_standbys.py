"""Two workers at two standbys that answer reads themselves: nothing is taken for what it is not; rotation goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.service import Worker
from tests.sandbox import wait_until
from tests.vault_cluster import Cluster, vault_cluster
from worker.sandbox.run import Sandbox, start_sandbox
from worker.sandbox.texts import SandboxOptions

OPTIONS = SandboxOptions(targets=3, every="2s", grace="1s", audit_every="5s", spread=0.0, linger=0.0)
ROTATIONS = 30
FALSE_ALARMS = (
    "vault.set_back",
    "target.failed",
    "conflict.found",
    "secret.lost",
    "key.died",
    "rotation.failed",
    "drift.found",
)
"""What a read of something older may be taken for."""


@dataclass
class Pair:
    """The sandbox, with a Vault of three nodes, and a worker at each standby."""

    sandbox: Sandbox
    cluster: Cluster
    workers: list[Worker]

    def rotations(self) -> int:
        return sum(len(worker.events("rotation.succeeded")) for worker in self.workers)

    def rotator(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command, at the active node."""
        environment = {**self.sandbox.environment, "VAULT_ADDR": self.cluster.active}
        command = [sys.executable, "-m", "worker.cli", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with vault_cluster(tmp_path / "cluster") as cluster:
        login = {"VAULT_ADDR": cluster.active, "VAULT_TOKEN": cluster.root_token}
        with start_sandbox(tmp_path / "sandbox", OPTIONS, login) as sandbox:
            config = Path(sandbox.environment["ROTATOR_CONFIG"])
            settings = config.read_text("utf-8").replace("[worker]\n", '[worker]\nwatch_every = "1s"\n')
            config.write_text(settings, "utf-8")
            made = Pair(sandbox, cluster, [])
            try:
                for node in cluster.standbys:
                    made.workers.append(_start(sandbox, node, tmp_path / f"{len(made.workers)}.log"))
                yield made
            finally:
                for worker in made.workers:
                    worker.kill()


def _start(sandbox: Sandbox, node: str, log: Path) -> Worker:
    environment = {**sandbox.environment, "VAULT_ADDR": node}
    with log.open("wb") as output:
        command = [sys.executable, "-m", "worker.cli", "worker"]
        return Worker(subprocess.Popen(command, env=environment, stdout=output, stderr=output), log)


def test_a_standby_that_is_behind_causes_no_alarm_and_rotation_goes_on(pair: Pair) -> None:
    wait_until(lambda: pair.rotations() >= ROTATIONS, "rotations by both")
    told = [event for worker in pair.workers for name in FALSE_ALARMS for event in worker.events(name)]
    assert told == []
    assert all(worker.events("rotation.started") for worker in pair.workers), "each has its share"
    for worker in pair.workers:
        assert worker.stop() == 0
    audited = json.loads(pair.rotator("audit", "--json").stdout)
    assert audited["drift"] == 0
    assert {each["kind"] for each in audited["findings"]} <= {"overdue"}, "nobody rotates any more"
