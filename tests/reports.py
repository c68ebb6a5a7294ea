"""A secret scanner: signs what it found as Standard Webhooks has it, by code of its own, and sends it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from tests.sandbox import plain_client

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


def headers(body: bytes, *, sent_id: str, at: float, secret: str = SECRET) -> dict[str, str]:
    """The three headers for a body."""
    stamp = str(int(at))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{sent_id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    return {"webhook-id": sent_id, "webhook-timestamp": stamp, "webhook-signature": f"v1,{signature}"}


def body_of(*access_keys: str, **more: object) -> bytes:
    return json.dumps({"access_keys": access_keys, **more}).encode()


@dataclass(frozen=True)
class Scanner:
    """Sends to one address."""

    address: str

    def send(self, body: bytes, signed: dict[str, str], path: str = "/leaks") -> httpx.Response:
        url = f"http://{self.address}"
        with plain_client(url) as client:
            return client.post(path, content=body, headers=signed)

    def report(self, *access_keys: str, sent_id: str = "", secret: str = SECRET, **more: object) -> httpx.Response:
        body = body_of(*access_keys, **more)
        return self.send(body, headers(body, sent_id=sent_id or uuid.uuid4().hex, at=time.time(), secret=secret))


def told(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    """What an answer says of each key."""
    return {each.pop("access_key"): each for each in answer.json()["keys"]}
