"""The simulator as a process of its own."""

from __future__ import annotations

import json
import select
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from worker.errors import RotatorError
from worker.sandbox.children import MODULE, START_SECONDS, end, kill, spawn
from worker.sandbox.simulator.controls import SimulatorAdmin
from worker.sandbox.texts import DEFAULT, SandboxOptions


@dataclass(frozen=True, slots=True)
class SimulatorProcess:
    """The simulator as a child, and where it answers."""

    hostup: str
    s3: str
    admin: SimulatorAdmin
    process: subprocess.Popen[bytes] = field(repr=False)

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def stop(self) -> None:
        """End it; may be called twice."""
        end(self.process)

    def kill(self) -> None:
        """Kill -9: only the ledger's file is left."""
        kill(self.process)


def start_simulator(folder: Path, api_key: Path, options: SandboxOptions = DEFAULT) -> SimulatorProcess:
    """Start the simulator as a process, with its ledger and log in ``folder``; raises RotatorError."""
    log = folder / "simulator.log"
    command = [*MODULE, "worker.sandbox.simulator.server", "--api-key-file", str(api_key)]
    command += ["--ledger", str(folder / "ledger.jsonl")]
    command += ["--spread", str(options.spread), "--linger", str(options.linger)]
    process = spawn(command, log, read=True)
    try:
        addresses = json.loads(_first_line(process))
    except BaseException as error:
        end(process)
        if isinstance(error, ValueError):
            raise RotatorError("the simulator did not start", hint=f"See {log}.") from None
        raise
    return SimulatorProcess(addresses["hostup"], addresses["s3"], SimulatorAdmin(addresses["admin"]), process)


def _first_line(process: subprocess.Popen[bytes]) -> bytes:
    """What the process prints first; nothing if it ends or takes too long."""
    if process.stdout is None:
        return b""
    ready, _, _ = select.select([process.stdout], [], [], START_SECONDS)
    return process.stdout.readline() if ready else b""
