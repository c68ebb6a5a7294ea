"""An issuer of JSON Web Tokens, and the part of Kubernetes that vouches for those of service accounts."""

from __future__ import annotations

import base64
import json
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from tests.wire import Step, answer


class Issuer:
    """Signs tokens with a key of its own, by RS256."""

    def __init__(self, folder: Path) -> None:
        self._key = folder / f"issuer-{uuid.uuid4()}.pem"
        asked = ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(self._key)]
        subprocess.run(asked, check=True, capture_output=True)

    @property
    def public_key(self) -> str:
        asked = ["openssl", "pkey", "-in", str(self._key), "-pubout"]
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout

    def token(self, seconds: float = 600.0, **claims: Any) -> str:
        now = int(time.time())
        facts = {
            "iss": "tests",
            "iat": now,
            "nbf": now - 5,
            "exp": now + int(seconds),
            "jti": str(uuid.uuid4()),
            **claims,
        }
        text = f"{_part({'alg': 'RS256', 'typ': 'JWT'})}.{_part(facts)}"
        asked = ["openssl", "dgst", "-sha256", "-sign", str(self._key)]
        signed = subprocess.run(asked, input=text.encode(), check=True, capture_output=True).stdout
        return f"{text}.{_in_base64(signed)}"


def service_account(name: str, uid: str) -> dict[str, Any]:
    """The claims of a token that Kubernetes puts into a pod."""
    about = {"namespace": "apps", "serviceaccount": {"name": name, "uid": uid}}
    return {"sub": f"system:serviceaccount:apps:{name}", "kubernetes.io": about}


def vouched_for(name: str, uid: str) -> Step:
    """What Kubernetes' TokenReview answers for it."""
    user = {"username": f"system:serviceaccount:apps:{name}", "uid": uid, "groups": ["system:authenticated"]}
    return _review({"authenticated": True, "user": user})


def not_vouched_for() -> Step:
    return _review({"authenticated": False, "error": "token is no longer valid"})


def _review(status: dict[str, Any]) -> Step:
    document = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}
    return answer(201, json.dumps(document).encode(), {"Content-Type": "application/json"})


def _part(value: object) -> str:
    return _in_base64(json.dumps(value).encode())


def _in_base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
