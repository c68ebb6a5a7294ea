"""A real Prometheus that scrapes one worker every second, and its API."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.sandbox import plain_client
from tests.servers import free_port, stop, wait_until

BINARY = shutil.which("prometheus")


@dataclass(frozen=True, slots=True)
class Prometheus:
    url: str
    targets: Path

    def scrape(self, *addresses: str) -> None:
        """From now on these, and no others; what others said is stale at once."""
        new = self.targets.with_suffix(".new")
        new.write_text(json.dumps([{"targets": list(addresses)}]))
        new.replace(self.targets)  # it is watched, and must not be seen half written

    def ask(self, query: str) -> list[dict[str, Any]]:
        """What the query says now, one entry for each series: its labels (``metric``) and its ``value``."""
        with plain_client(self.url) as client:
            answer = client.get("/api/v1/query", params={"query": query}).json()
        assert answer["status"] == "success", (query, answer)
        found: list[dict[str, Any]] = answer["data"]["result"]
        return [each for each in found if not math.isnan(float(each["value"][1]))]


@contextmanager
def start_prometheus(folder: Path) -> Iterator[Prometheus]:
    """Started and answering; ``BINARY`` has to be there."""
    folder.mkdir()
    targets = folder / "targets.json"
    targets.write_text("[]")
    sd = [{"files": [str(targets)], "refresh_interval": "1s"}]
    jobs = [{"job_name": "rotator", "scrape_interval": "1s", "scrape_timeout": "1s", "file_sd_configs": sd}]
    (folder / "prometheus.yaml").write_text(json.dumps({"scrape_configs": jobs}))
    address = f"127.0.0.1:{free_port()}"
    command = [str(BINARY), f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=subprocess.STDOUT)
    try:
        with plain_client(f"http://{address}") as client:
            wait_until(lambda: _is_ready(client, child), f"Prometheus is ready (its log: {folder / 'log'})")
        yield Prometheus(f"http://{address}", targets)
    finally:
        stop(child)


def _is_ready(client: httpx.Client, child: subprocess.Popen[bytes]) -> bool:
    assert child.poll() is None, "Prometheus ended by itself"
    try:
        return client.get("/-/ready").status_code == 200
    except httpx.TransportError:
        return False
