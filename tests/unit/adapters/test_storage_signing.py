"""What the probe's signature is made of, computed a second time from what came over the wire."""

from __future__ import annotations

import hashlib
import hmac
import re

import pytest

from tests.wire import Heard, Wire, answer
from worker.adapters.http.client import HttpClient
from worker.adapters.s3.probe import StorageProbe
from worker.secret import Secret

ACCESS_KEY = "AKIAEXAMPLE"
SECRET = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
REGION = "eu-north-1"

LONG = 30.0
"""Seconds that no test waits for."""


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature_fits(heard: Heard, secret: str) -> bool:
    """Signature V4 computed here from what came over the wire, by AWS's own description of it."""
    parts = dict(re.findall(r"(\w+)=([^, ]+)", heard.headers["authorization"]))
    access_key, day, region, service, _ = parts["Credential"].split("/")
    assert (access_key, region, service) == (ACCESS_KEY, REGION, "s3")
    names = parts["SignedHeaders"].split(";")
    lines = [f"{name}:{heard.headers[name]}" for name in names]
    payload = heard.headers["x-amz-content-sha256"]
    canonical = "\n".join([heard.method, heard.target, "", *lines, "", ";".join(names), payload])
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", heard.headers["x-amz-date"], scope, digest])
    key = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        key = _hmac(key, part)
    return hmac.compare_digest(_hmac(key, text).hex(), parts["Signature"])


@pytest.mark.parametrize("path", ["", "/", "/gateway/"])
def test_the_signature_is_right(client: HttpClient, path: str) -> None:
    with Wire(answer(200)) as wire:
        StorageProbe(client, wire.url + path, REGION, deadline=LONG).works(ACCESS_KEY, SECRET)
    (heard,) = wire.heard
    assert (heard.method, heard.target) == ("GET", path.rstrip("/") + "/")
    assert heard.headers["x-amz-content-sha256"] == hashlib.sha256(b"").hexdigest()
    assert "SignedHeaders=host;x-amz-content-sha256;x-amz-date," in heard.headers["authorization"]
    assert signature_fits(heard, SECRET.reveal())


def test_the_second_look_is_signed_with_another_secret(client: HttpClient) -> None:
    with Wire(answer(403, b"<Error><Code>AccessDenied</Code></Error>")) as wire:
        StorageProbe(client, wire.url, REGION, deadline=LONG).works(ACCESS_KEY, SECRET)
    assert [signature_fits(heard, SECRET.reveal()) for heard in wire.heard] == [True, False]
