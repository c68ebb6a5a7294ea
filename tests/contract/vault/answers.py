"""Vault's answers as it gives them, for servers that follow a script."""

from __future__ import annotations

import json
from typing import Any

from tests.wire import Step, answer


def told(body: object, status: int = 200) -> Step:
    return answer(status, json.dumps(body).encode(), {"Content-Type": "application/json"})


def errors(status: int, *texts: str) -> Step:
    return told({"errors": list(texts)}, status)


def token(ttl: int = 0, **changed: Any) -> Step:
    """What a token's lookup of itself answers."""
    data = {"accessor": "acc", "policies": ["p"], "ttl": ttl, "creation_ttl": ttl, "renewable": False}
    return told({"request_id": "r", "data": {**data, **changed}})


def login(client_token: str, lease: int, **changed: Any) -> Step:
    """What a login or a renewal answers."""
    auth = {"client_token": client_token, "accessor": "acc", "policies": ["p"], "lease_duration": lease}
    return told({"request_id": "r", "data": None, "auth": {**auth, "renewable": True, **changed}})


def document(version: int = 1, **data: Any) -> Step:
    """What a read answers."""
    metadata = {"version": version, "created_time": "2026-11-24T07:25:49.349216254Z"}
    return told({"request_id": "r", "data": {"data": data, "metadata": metadata}})
