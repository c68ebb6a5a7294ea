"""Bare scripts that make the calls of a rotation and nothing else, as processes of their own.

``python -m tests.bench.bare`` reads one job of JSON, gets ready and prints a line; for each line with a number, it then
does so many rotations and prints what they took. One POST, one signed GET, four check-and-set writes for each: what no
way of doing it can spare.
Its token has the rights of the worker's, as what Vault does for a call depends on them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
import hvac  # type: ignore[import-untyped]  # it ships no types
import requests
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests.adapters import HTTPAdapter

from tests.bench.plain_http import Server
from tests.bench.stage import path_of
from worker.sandbox.texts import MOUNT, STATE_PATH

REGION = "eu-north-1"


@dataclass(frozen=True, slots=True)
class Job:
    """What to do where."""

    kind: str
    threads: int
    run: str
    hostup: str
    api_key: str
    s3: str
    vault: str
    token: str


class Calls(Protocol):
    """The three kinds of calls."""

    def create(self, label: str) -> dict[str, str]:
        """POST one key."""
        ...

    def probe(self, headers: dict[str, str]) -> None:
        """GET, signed."""
        ...

    def write(self, path: str, data: dict[str, str], cas: int) -> None:
        """Write with check-and-set."""
        ...

    def close(self) -> None:
        """Close every connection."""
        ...


def signed(url: str, key: dict[str, str]) -> dict[str, str]:
    """The headers of a signed GET."""
    request = AWSRequest(method="GET", url=url)
    S3SigV4Auth(Credentials(key["accessKey"], key["secretKey"]), "s3", REGION).add_auth(request)
    return dict(request.headers.items())


def rotate(calls: Calls, job: Job, name: str) -> None:
    """One rotation."""
    state, app = f"{STATE_PATH}/bare-{job.run}/{name}", path_of(f"bare-{job.run}-{name}")
    record = {"target": name, "phase": "creating", "label": f"{name} {job.run}", "started_at": "2026-11-24T12:00:00Z"}
    calls.write(state, record, 0)
    key = calls.create(record["label"])
    staged = {**record, "phase": "staged", "access_key": key["accessKey"], "secret_key": key["secretKey"]}
    calls.write(state, staged, 1)
    calls.probe(signed(job.s3 + "/", key))
    secret = {"access_key": key["accessKey"], "secret_key": key["secretKey"], "endpoint": job.s3, "region": REGION}
    calls.write(app, secret, 0)
    calls.write(state, {**record, "phase": "idle", "access_key": key["accessKey"]}, 2)


def httpx_hvac(job: Job) -> Calls:
    """Httpx and hvac with one shared client each."""
    client = httpx.Client(timeout=60, limits=httpx.Limits(max_connections=100, max_keepalive_connections=100))
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=100))
    vault = hvac.Client(url=job.vault, token=job.token, session=session)
    return _WithHvac(
        lambda label: client.post(
            job.hostup + "/api/object-storage/keys", json={"label": label}, headers={"X-API-Key": job.api_key}
        ),
        lambda headers: client.get(job.s3 + "/", headers=headers),
        vault,
        client,
    )


def requests_hvac(job: Job) -> Calls:
    """Requests and hvac: what a user would write."""
    session = requests.Session()
    return _WithHvac(
        lambda label: session.post(
            job.hostup + "/api/object-storage/keys",
            json={"label": label},
            headers={"X-API-Key": job.api_key},
            timeout=60,
        ),
        lambda headers: session.get(job.s3 + "/", headers=headers, timeout=60),
        hvac.Client(url=job.vault, token=job.token),
        session,
    )


def http_client(job: Job) -> Calls:
    """The standard library: the floor."""
    return _Plain(
        Server(job.hostup, {"X-API-Key": job.api_key, "Content-Type": "application/json"}),
        Server(job.s3),
        Server(job.vault, {"X-Vault-Token": job.token, "X-Vault-Request": "true"}),
    )


@dataclass(frozen=True, slots=True)
class _WithHvac:
    post: Callable[[str], Any]
    get: Callable[[dict[str, str]], Any]
    vault: Any
    client: httpx.Client | requests.Session

    def create(self, label: str) -> dict[str, str]:
        answer = self.post(label)
        answer.raise_for_status()
        key: dict[str, str] = answer.json()["data"]["key"]
        return key

    def probe(self, headers: dict[str, str]) -> None:
        self.get(headers).raise_for_status()

    def write(self, path: str, data: dict[str, str], cas: int) -> None:
        self.vault.secrets.kv.v2.create_or_update_secret(path=path, secret=data, cas=cas, mount_point=MOUNT)

    def close(self) -> None:
        self.client.close()
        self.vault.adapter.close()


@dataclass(frozen=True, slots=True)
class _Plain:
    hostup: Server
    s3: Server
    vault: Server

    def create(self, label: str) -> dict[str, str]:
        key: dict[str, str] = self.hostup.ask("POST", "/api/object-storage/keys", {"label": label})["data"]["key"]
        return key

    def probe(self, headers: dict[str, str]) -> None:
        self.s3.call("GET", "/", headers=headers)

    def write(self, path: str, data: dict[str, str], cas: int) -> None:
        self.vault.call("POST", f"/v1/{MOUNT}/data/{path}", {"data": data, "options": {"cas": cas}})

    def close(self) -> None:
        for server in (self.hostup, self.s3, self.vault):
            server.close()


KINDS: dict[str, Callable[[Job], Calls]] = {
    "httpx_hvac": httpx_hvac,
    "http_client": http_client,
    "requests_hvac": requests_hvac,
}


def main() -> int:
    """Get ready, wait, work, tell."""
    job = Job(**json.loads(sys.stdin.readline()))
    calls = KINDS[job.kind](job)
    rotate(calls, job, "warm-up")
    _say("ready")
    for turn, line in enumerate(sys.stdin):
        _say(json.dumps(_work(calls, job, [f"{turn}-{number:06}" for number in range(int(line))])))
    return 0


def _work(calls: Calls, job: Job, names: Sequence[str]) -> dict[str, float]:
    began, cpu = time.monotonic(), time.process_time()
    with ThreadPoolExecutor(job.threads) as pool:
        for _ in pool.map(lambda name: rotate(calls, job, name), names):
            pass
    return {"seconds": time.monotonic() - began, "cpu": time.process_time() - cpu}


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
