"""The simulated HostUp: its API, its object storage and the controls, in one process.

``python -m worker.sandbox.simulator.server --api-key-file FILE`` prints one line of JSON with its addresses when it is
ready, and runs until SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from worker.sandbox.simulator.admin import AdminApi
from worker.sandbox.simulator.api_keys import ApiKeys
from worker.sandbox.simulator.behaviour import Behaviour, BehaviourBox
from worker.sandbox.simulator.controls import SimulatorAdmin
from worker.sandbox.simulator.faults import FaultBook
from worker.sandbox.simulator.hostup_api import HostUpApi
from worker.sandbox.simulator.keys import KeyStore
from worker.sandbox.simulator.ledger import Ledger
from worker.sandbox.simulator.s3 import S3Api
from worker.sandbox.wire import HttpServer

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Listening:
    """Where the simulator listens and what it keeps; port 0 takes a free one, a path of None keeps nothing."""

    host: str = LOOPBACK
    port: int = 0
    s3_port: int = 0
    admin_host: str = LOOPBACK
    admin_port: int = 0
    s3_url: str = ""
    """What the status page names as endpoint; empty: where the S3 server really is."""
    ledger: Path | None = None
    state: Path | None = None


class Simulator:
    """Runs from construction until :meth:`stop`. Raises OSError when a port is taken or a file cannot be used."""

    def __init__(self, api_key: str, behaviour: Behaviour | None = None, place: Listening | None = None) -> None:
        place = place or Listening()
        box = BehaviourBox(behaviour or Behaviour())
        self._ledger = Ledger(place.ledger)
        self._faults = FaultBook()
        keys = KeyStore(self._ledger, box, place.state)
        s3 = S3Api(keys, self._ledger, box, self._faults)
        self._s3 = HttpServer(s3.handle, place.host, place.s3_port)
        self.s3_url = place.s3_url or self._s3.url
        self.s3_server = self._s3.url
        kept = place.state.with_name(f"{place.state.name}.api-keys") if place.state else None
        api_keys = ApiKeys(api_key, self._ledger, box, kept)
        api = HostUpApi(api_keys, self.s3_url, keys, self._ledger, box, self._faults, s3.buckets.usage)
        self._api = HttpServer(api.handle, place.host, place.port)
        controls = AdminApi(keys, self._ledger, box, self._faults, api_keys)
        self._admin = HttpServer(controls.handle, place.admin_host, place.admin_port)
        self.url = self._api.url
        self.admin = SimulatorAdmin(self._admin.url)

    def stop(self) -> None:
        """End all servers; may be called twice."""
        self._faults.clear()
        self._faults.release()
        for server in (self._api, self._s3, self._admin):
            server.stop()
        self._ledger.close()

    def __enter__(self) -> Self:
        """Run within a ``with`` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator as a process."""
    options = _parser().parse_args(arguments)
    stopping = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)  # for all threads; sigwait below takes them
    api_key = options.api_key_file.read_text("utf-8").strip()
    behaviour = Behaviour(spread=options.spread, linger=options.linger, latency_ms=options.latency_ms)
    with Simulator(api_key, behaviour, _place(options)) as simulator:
        addresses = {"hostup": simulator.url, "s3": simulator.s3_url, "admin": simulator.admin.url, "pid": os.getpid()}
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        signal.sigwait(stopping)
    return 0


def _place(options: argparse.Namespace) -> Listening:
    return Listening(
        host=options.host,
        port=options.port,
        s3_port=options.s3_port,
        admin_host=options.admin_host,
        admin_port=options.admin_port,
        s3_url=options.s3_url,
        ledger=options.ledger,
        state=options.state,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker.sandbox.simulator.server", description="A simulated HostUp."
    )
    named = os.environ.get("HOSTUP_API_KEY_FILE")
    parser.add_argument(
        "--api-key-file",
        type=Path,
        default=named,
        required=not named,
        help="holds the key that X-API-Key must carry; HOSTUP_API_KEY_FILE names it, too",
    )
    parser.add_argument("--host", default=LOOPBACK, help="for the API and S3; another one only inside compose")
    parser.add_argument("--port", type=int, default=0, help="of the API; 0 takes a free one")
    parser.add_argument("--s3-port", type=int, default=0)
    parser.add_argument("--admin-host", default=LOOPBACK)
    parser.add_argument("--admin-port", type=int, default=0)
    parser.add_argument("--s3-url", default="", help="the endpoint that the status page names")
    parser.add_argument("--ledger", type=Path, help="also append the ledger to this file, as JSON lines")
    parser.add_argument("--state", type=Path, help="keep the keys in this file over restarts")
    parser.add_argument("--spread", type=float, default=0.0, help="seconds until a new key works")
    parser.add_argument("--linger", type=float, default=0.0, help="seconds that a deleted key goes on working")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
