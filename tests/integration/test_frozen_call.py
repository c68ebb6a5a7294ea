"""A process that is frozen in the middle of a call, past its deadline, while the answer comes."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time

import pytest

from tests.wire import LOOPBACK_PEM, raw

DEADLINE = 0.5

CALLER = f"""
import signal, sys
from worker.adapters.http.client import new_client
from worker.adapters.http.deadline import within
from worker.adapters.http.messages import Request
signal.signal(signal.SIGTERM, lambda *_: None)
with new_client(ca_file="{LOOPBACK_PEM}") as client, within({DEADLINE}):
    print(client.send(Request("POST", sys.argv[1]), fresh=True).status)
"""


@pytest.mark.parametrize("signals", [(signal.SIGCONT,), (signal.SIGTERM, signal.SIGCONT)], ids=["goes on", "and ends"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_answer_that_waits_is_taken(signals: tuple[signal.Signals, ...], scheme: str) -> None:
    # the second: a signal that is handled as the process goes on ends the wait for the socket without a look at it
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(LOOPBACK_PEM)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}/"
        child = subprocess.Popen([sys.executable, "-c", CALLER, url], stdout=subprocess.PIPE, text=True)
        try:
            bare, _ = server.accept()
            with context.wrap_socket(bare, server_side=True) if scheme == "https" else bare as line:
                line.recv(65536)
                child.send_signal(signal.SIGSTOP)
                os.waitpid(child.pid, os.WUNTRACED)
                over = time.monotonic() + DEADLINE
                while time.monotonic() <= over:
                    time.sleep(over - time.monotonic() + 0.01)
                line.sendall(raw(201, b"{}")[:-1])
                line.sendall(b"}")
                for each in signals:
                    child.send_signal(each)
                said, _ = child.communicate(timeout=30)
            assert said == "201\n"
        finally:
            child.kill()
            child.communicate()
