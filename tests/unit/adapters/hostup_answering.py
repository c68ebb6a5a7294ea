"""The HostUp API as far as its client sees it: answers in the documented shapes, and a client to meet them."""

from __future__ import annotations

import json

import pytest

from tests.wire import Step, Wire
from worker.adapters.hostup.client import HostUpClient
from worker.adapters.http.client import HttpClient
from worker.errors import HostUpError
from worker.secret import Secret
from worker.settings.credential import Credential
from worker.targets.account import DEFAULT_ACCOUNT

API_KEY = "hk_live_5f2c-planted-api-key"
REQUEST_ID = "2121ae20-bd9d-41e9-aeeb-5dd1dd1a24ba"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYPLANTEDKEY"

LONG = 30.0
"""Seconds that no test waits for: the deadline where the answer is what counts."""

SHORT = 1.0
"""Seconds: the deadline where its passing is what counts."""


def hostup(client: HttpClient, url: str, deadline: float = LONG, account: str = DEFAULT_ACCOUNT) -> HostUpClient:
    api_key = Credential(Secret(API_KEY))
    return HostUpClient(client, url, api_key, create_deadline=deadline, deadline=deadline, account=account)


def body(data: object, **more: object) -> bytes:
    return json.dumps({"success": True, "requestId": REQUEST_ID, "data": data, **more}).encode()


def created(**key: object) -> bytes:
    return body({"key": {"accessKey": "AKIAEXAMPLE", "secretKey": SECRET, "label": "a label", **key}})


def v1(code: str, message: str, **more: object) -> bytes:
    return json.dumps({"code": code, "error": "Words", "message": message, "requestId": REQUEST_ID, **more}).encode()


def problem(title: str, detail: str | None = None) -> bytes:
    """RFC 7807, as the v2 pages answer."""
    fields = {"type": "about:blank", "title": title, "detail": detail, "code": "V2_CODE", "requestId": REQUEST_ID}
    return json.dumps(fields).encode()


def failure_of_create(client: HttpClient, step: Step, deadline: float = LONG) -> HostUpError:
    """The error of a create that met this answer, and the proof that it was sent exactly once."""
    with Wire(step) as wire:
        with pytest.raises(HostUpError) as caught:
            hostup(client, wire.url, deadline).create_key("a label")
        assert [heard.method for heard in wire.heard] == ["POST"]
    return caught.value
