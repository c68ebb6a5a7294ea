"""A process that is frozen in the middle of a call, past its deadline, while the answer comes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.wire import raw

DEADLINE = 0.5

CALLER = f"""
import signal, sys
from worker.adapters.http.client import new_client
from worker.adapters.http.deadline import within
from worker.adapters.http.messages import Request
signal.signal(signal.SIGTERM, lambda *_: None)
with new_client() as client, within({DEADLINE}):
    print(client.send(Request("POST", sys.argv[1]), fresh=True).status)
"""


@pytest.mark.parametrize("signals", [(signal.SIGCONT,), (signal.SIGTERM, signal.SIGCONT)], ids=["goes on", "and ends"])
def test_the_answer_that_waits_is_taken(signals: tuple[signal.Signals, ...]) -> None:
    # the second: a signal that is handled as the process goes on ends the wait for the socket without a look at it
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        child = subprocess.Popen([sys.executable, "-c", CALLER, url], stdout=subprocess.PIPE, text=True)
        try:
            line, _ = server.accept()
            with line:
                line.recv(65536)
                child.send_signal(signal.SIGSTOP)
                os.waitpid(child.pid, os.WUNTRACED)
                over = time.monotonic() + DEADLINE
                while time.monotonic() <= over:
                    time.sleep(over - time.monotonic() + 0.01)
                line.sendall(raw(201, b"{}"))
                for each in signals:
                    child.send_signal(each)
                said, _ = child.communicate(timeout=30)
            assert said == "201\n"
        finally:
            child.kill()
            child.communicate()
