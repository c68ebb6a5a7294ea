"""Signature Version 4, the verifying side: header authorization of the service ``s3``, written from AWS's description.

Independent of botocore on purpose: what botocore signs is checked by something that is not botocore.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from worker.sandbox.wire import Request

ALGORITHM = "AWS4-HMAC-SHA256"
_FIELDS = {"Credential", "SignedHeaders", "Signature"}
_SCOPE_PARTS = 5


@dataclass(frozen=True, slots=True)
class Signature:
    """A parsed ``Authorization`` header and the moment the request says it was signed."""

    access_key: str
    scope: tuple[str, str, str]
    """Day, region, service."""
    signed_headers: tuple[str, ...]
    digest: str
    at: datetime


def parse(headers: Mapping[str, str]) -> Signature | None:
    """Read the signature of a request; None when it is malformed in any way."""
    algorithm, _, rest = headers.get("authorization", "").partition(" ")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    at = _moment(headers.get("x-amz-date", ""))
    if algorithm != ALGORITHM or set(fields) != _FIELDS or at is None:
        return None
    scope = fields["Credential"].rsplit("/", _SCOPE_PARTS - 1)
    if len(scope) != _SCOPE_PARTS or scope[4] != "aws4_request" or scope[3] != "s3":
        return None
    signed = tuple(fields["SignedHeaders"].split(";"))
    return Signature(scope[0], (scope[1], scope[2], scope[3]), signed, fields["Signature"], at)


def matches(request: Request, signature: Signature, secret: str) -> bool:
    """Whether the request was signed with this secret."""
    hashed = request.headers.get("x-amz-content-sha256")
    if hashed is None or "host" not in signature.signed_headers:
        return False
    day, region, service = signature.scope
    to_sign = "\n".join(
        (
            ALGORITHM,
            signature.at.strftime("%Y%m%dT%H%M%SZ"),
            f"{day}/{region}/{service}/aws4_request",
            hashlib.sha256(_canonical(request, signature, hashed).encode()).hexdigest(),
        )
    )
    key = b"AWS4" + secret.encode()
    for part in (day, region, service, "aws4_request", to_sign):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.compare_digest(key.hex().encode(), signature.digest.encode())


def _canonical(request: Request, signature: Signature, hashed: str) -> str:
    """The canonical request; S3 takes the path as it was sent, without normalizing it."""
    pairs = sorted(tuple(part.partition("=")[::2]) for part in request.query.split("&") if part)
    names = signature.signed_headers
    lines = [f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names]
    query = "&".join(f"{name}={value}" for name, value in pairs)
    return "\n".join((request.method, request.path, query, *lines, "", ";".join(names), hashed))


def _moment(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
