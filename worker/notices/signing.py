"""Signatures of webhooks, as Standard Webhooks (standardwebhooks.com) has them, for which there are libraries. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

from worker.secret import Secret

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, as the standard says."""


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
    digest = hmac.new(_key(secret), b".".join((notice_id.encode(), at.encode(), body)), hashlib.sha256).digest()
    return {
        "webhook-id": notice_id,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def _key(secret: Secret) -> bytes:
    return base64.b64decode(secret.reveal().removeprefix(PREFIX), validate=True)
