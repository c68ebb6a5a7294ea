"""The fault proxy kills and freezes the process that calls."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sandbox import BASE, PATIENCE, wait_until
from tests.unit.sandbox.conftest import API_KEY
from worker.sandbox.simulator.server import Simulator
from worker.selftest import actions
from worker.selftest.actions import Gate
from worker.selftest.proxy import HttpProxy
from worker.selftest.script import Moment, Rule, Script

CREATE = f"{BASE}/keys"


def made(simulator: Simulator) -> int:
    return len(simulator.admin.keys())


CALLER = """
import sys, urllib.request
sys.stdin.readline()
request = urllib.request.Request(sys.argv[1], b'{"label": "x"}', {"X-API-Key": sys.argv[2]})
urllib.request.urlopen(request).read()
print("answered", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def caller(proxy: HttpProxy) -> Iterator[subprocess.Popen[str]]:
    """A process that creates a key when it is told to, and ends when it is told to."""
    command = [sys.executable, "-c", CALLER, proxy.url + CREATE, API_KEY]
    environment = {"no_proxy": "*"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        process.kill()


def go(caller: subprocess.Popen[str]) -> None:
    assert caller.stdin
    caller.stdin.write("go\n")
    caller.stdin.flush()


@pytest.mark.parametrize(("moment", "keys"), [(Moment.BEFORE, 0), (Moment.AFTER, 1), (Moment.DELIVERED, 1)])
def test_the_caller_is_killed(
    script: Script, simulator: Simulator, caller: subprocess.Popen[str], moment: Moment, keys: int
) -> None:
    script.add(Rule(moment, actions.kill(lambda: caller.pid), method="POST"))

    go(caller)

    assert caller.wait(PATIENCE) == -signal.SIGKILL
    assert made(simulator) == keys


def test_the_caller_is_frozen_and_woken(script: Script, simulator: Simulator, caller: subprocess.Popen[str]) -> None:
    gate = Gate()
    frozen = actions.first(actions.freeze(lambda: caller.pid), actions.hold(gate))
    script.add(Rule(Moment.AFTER, frozen, method="POST"))
    go(caller)
    assert gate.arrived.wait(PATIENCE)
    status = Path(f"/proc/{caller.pid}/stat")
    wait_until(lambda: status.read_text().rpartition(")")[2].split()[0] == "T", "the caller is stopped")
    assert made(simulator) == 1

    gate.opened.set()
    caller.send_signal(signal.SIGCONT)

    assert caller.stdout
    assert caller.stdout.readline() == "answered\n"
