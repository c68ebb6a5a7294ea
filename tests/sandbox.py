"""What tests of the sandbox share: plain clients, waiting for a condition, the API without the product's client."""

from __future__ import annotations

import base64
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

BASE = "/api/object-storage"
PATIENCE = 60.0


def wait_until(holds: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
    """Look again and again until it holds; fails when it does not within so many seconds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within:.0f} s: {what}"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process is there, and not just waiting to be reaped by a container's idle first process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def plain_client(url: str, headers: Mapping[str, str] | None = None) -> httpx.Client:
    """A client that takes nothing from the environment; it trusts no authority, which spares loading them."""
    trusts_none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=PATIENCE, verify=trusts_none)


def create(client: httpx.Client, label: str = "x", timeout: float = PATIENCE) -> httpx.Response:
    """Ask for a key, and take any answer."""
    return client.post(f"{BASE}/keys", json={"label": label}, timeout=timeout)


@dataclass(frozen=True, slots=True)
class HostUp:
    """Any simulator of the HostUp API."""

    client: httpx.Client

    def status(self) -> dict[str, Any]:
        answer = self.client.get(BASE)
        assert answer.status_code == 200
        data: dict[str, Any] = answer.json()["data"]
        return data

    def key_count(self) -> int:
        count: int = self.status()["keyCount"]
        return count

    def post(self, body: object) -> httpx.Response:
        return self.client.post(f"{BASE}/keys", json=body)

    def create(self, label: str | None = None) -> dict[str, str]:
        answer = self.post({"label": label or f"contract {uuid.uuid4()}"})
        assert answer.status_code == 200
        key: dict[str, str] = answer.json()["data"]["key"]
        return key

    def delete(self, access_key: str) -> httpx.Response:
        return self.delete_segment(base64.b64encode(access_key.encode()).decode())

    def delete_segment(self, segment: str) -> httpx.Response:
        return self.client.delete(f"{BASE}/keys/{quote(segment, safe='')}")


def signed(endpoint: str, access_key: str, secret: str, region: str = "eu-north-1") -> dict[str, str]:
    request = AWSRequest("GET", f"{endpoint}/")
    S3SigV4Auth(Credentials(access_key, secret), "s3", region).add_auth(request)
    return dict(request.headers.items())


def send(
    endpoint: str, headers: Mapping[str, str], method: str = "GET", path: str = "/", body: bytes = b""
) -> httpx.Response:
    with plain_client(endpoint) as storage:
        return storage.request(method, path, headers=headers, content=body or None)
