"""Signatures of webhooks, as Standard Webhooks (standardwebhooks.com) has them, for which there are libraries. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from worker.secret import Secret

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, as the standard says."""

TOLERANCE = timedelta(minutes=5)
"""How far a sender's clock may be away from ours, and how old a request may be."""

MOST_SIGNATURES = 8
"""Of one request: a sender whose secret is being changed signs with the old one, too."""

_ID = re.compile(r"[!-~]{1,256}")
_TIME = re.compile(r"[0-9]{1,12}")


class NotSigned(Exception):
    """A request without a valid signature. Its text says what is wrong, for our own log and for nobody else."""


def signing_secret(text: str) -> Secret:
    """A secret as it is given. Raises ValueError, in words that follow its name."""
    secret = Secret(text)
    try:
        length = len(_key(secret))
    except (binascii.Error, ValueError):
        length = 0
    if not text.startswith(PREFIX) or not SHORTEST <= length <= LONGEST:
        raise ValueError(
            f"must be {PREFIX} and {SHORTEST} to {LONGEST} random bytes in base64, such as from: "
            f'echo "{PREFIX}$(openssl rand -base64 32)"'
        )
    return secret


def signed(secret: Secret, notice_id: str, now: datetime, body: bytes) -> dict[str, str]:
    """The headers that say who sent this and when: HMAC-SHA256 over id, time and body."""
    at = str(int(now.timestamp()))
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": at,
        "webhook-signature": _signature(secret, notice_id, at, body),
    }


def signed_id(secret: Secret, headers: Mapping[str, str], now: datetime, body: bytes) -> str:
    """The id of a request that somebody with the secret sent within :data:`TOLERANCE`; ``headers`` have small names.

    Each signature is compared in constant time. Raises NotSigned.
    """
    sent_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = headers.get("webhook-signature", "").split(" ")[:MOST_SIGNATURES]
    if not (_ID.fullmatch(sent_id) and _TIME.fullmatch(at)):
        raise NotSigned("it has no webhook-id, or no webhook-timestamp")
    right = _signature(secret, sent_id, at, body).encode()
    matching = [hmac.compare_digest(right, each.encode("utf-8", "surrogateescape")) for each in given]
    if True not in matching:  # all were compared
        raise NotSigned("it is not signed with the secret")
    if abs(now.timestamp() - int(at)) > TOLERANCE.total_seconds():
        raise NotSigned("it was signed more than five minutes from now")
    return sent_id


def _signature(secret: Secret, sent_id: str, at: str, body: bytes) -> str:
    digest = hmac.new(_key(secret), b".".join((sent_id.encode(), at.encode(), body)), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _key(secret: Secret) -> bytes:
    return base64.b64decode(secret.reveal().removeprefix(PREFIX), validate=True)
