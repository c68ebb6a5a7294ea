"""What tests of the sandbox share: plain clients, waiting for a condition, the API without the product's client."""

from __future__ import annotations

import base64
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

BASE = "/api/object-storage"
PATIENCE = 60.0


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Look again and again until it holds; fails when it does not within a minute."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.01)


def plain_client(url: str, headers: Mapping[str, str] | None = None) -> httpx.Client:
    """A client that takes nothing from the environment; it trusts no authority, which spares loading them."""
    trusts_none = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=PATIENCE, verify=trusts_none)


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
