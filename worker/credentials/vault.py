"""Reading one secret from Vault with the standard library alone: a helper is started for every call of a program.

The worker's own way to Vault (:mod:`worker.adapters.vault`) is made for a process that lives long and writes; loading
its libraries alone takes longer than a helper may run.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import HTTPException, InvalidURL
from typing import Any
from urllib.parse import quote, urlsplit

from worker import __version__
from worker.credentials.deadline import SECONDS, TimedHandler
from worker.credentials.environment import Server
from worker.credentials.tls import https_handler
from worker.errors import (
    ConfigurationError,
    CredentialsMissing,
    CredentialsUnusable,
    RotatorError,
    VaultCasMismatch,
    VaultDenied,
    VaultLoginFailed,
    VaultRefused,
    VaultSealed,
    VaultUnavailable,
)
from worker.printable import printable
from worker.secret import Secret

LARGEST = 1_048_576
"""Bytes of an answer; Vault's own limit for what it stores is of this order."""
_SENT = "VAULT_ADDR, VAULT_TLS_SERVER_NAME, VAULT_PROXY_ADDR or the variables of proxies"


class Vault:
    """Calls of one server. Any thread may use it. Raises ConfigurationError for TLS files that cannot be loaded."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._opener = _opener(server)

    def read(self, mount: str, path: str, token: Secret) -> tuple[dict[str, object], int]:
        """The latest version of a secret in a KV version 2 mount, and its number.

        Raises CredentialsMissing where there is none, CredentialsUnusable for what is no such secret, VaultDenied,
        VaultLoginFailed for a token that is no longer known, VaultUnavailable and VaultRefused.
        """
        where = f"{mount}/data/{path}"
        answer = self.call("GET", where, token)
        data = answer.get("data")
        if isinstance(data, dict) and isinstance(data.get("data"), dict) and isinstance(data.get("metadata"), dict):
            version = data["metadata"].get("version")
            return data["data"], version if isinstance(version, int) else 0
        raise CredentialsUnusable(
            f"what Vault has at {where} is no secret of a KV version 2 mount",
            hint="Check the mount (--mount) and the path; KV version 1 keeps no versions.",
        )

    def latest(self, mount: str, path: str, token: Secret) -> tuple[dict[str, object], int]:
        """As :meth:`read`; where nothing is there, or was deleted, {} with the version that a write has to name."""
        try:
            return self.read(mount, path, token)
        except CredentialsMissing as missing:
            return {}, missing.version

    def write(self, mount: str, path: str, data: Mapping[str, object], version: int, token: Secret) -> None:
        """Write a new version over ``version``. Raises VaultCasMismatch where another writer was first, and as read."""
        where = f"{mount}/data/{path}"
        try:
            self.call("POST", where, token, {"options": {"cas": version}, "data": data})
        except VaultRefused as refused:
            if "check-and-set" not in refused.what:
                raise
            raise VaultCasMismatch(f"another writer of {where} was first", path=where, hint="Try again.") from None

    def call(
        self,
        method: str,
        path: str,
        token: Secret | None,
        body: Mapping[str, object] | None = None,
        namespace: str | None = None,
        seconds: float = SECONDS,
    ) -> Any:
        """One call below ``/v1/``; the answer's JSON object, {} where there is none. Raises as :meth:`read`.

        ``namespace`` is another than that of the secrets; ``seconds`` is what the call may take.
        """
        request = urllib.request.Request(  # noqa: S310 - the address was checked to be http or https
            f"{self._server.address}/v1/{quote(path)}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers=self._headers(token, self._server.namespace if namespace is None else namespace),
        )
        hidden = [token.reveal()] if token else []
        hidden += [value for value in (body or {}).values() if isinstance(value, str)]
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                content = answer.read(LARGEST + 1)
        except urllib.error.HTTPError as refused:
            with refused:
                trouble = _refusal(refused.code, _body(refused), path, hidden)
        except (OSError, HTTPException, ValueError) as error:
            trouble = self._trouble(error, path)
        else:
            return _object(content, path)
        raise trouble  # out here, so that what was answered does not hang on it

    def _trouble(self, error: Exception, path: str) -> RotatorError:
        if isinstance(error, InvalidURL) or not isinstance(error, OSError | HTTPException):
            # its text may hold what was to be sent
            return ConfigurationError((f"environment: Vault cannot be called with what {_SENT} hold",))
        return VaultUnavailable(
            f"Vault at {self._server.address} cannot be reached: {_why(error)}",
            path=path,
            hint="Check VAULT_ADDR, VAULT_CACERT and the network.",
        )

    @staticmethod
    def _headers(token: Secret | None, namespace: str) -> dict[str, str]:
        headers = {"X-Vault-Request": "true", "User-Agent": f"hostup-rotator/{__version__}"}
        if token:
            headers["X-Vault-Token"] = token.reveal()
        if namespace:
            headers["X-Vault-Namespace"] = namespace
        return headers


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A standby's redirect is not followed: it would carry the token to wherever it points. Nor is that read."""

    def http_error_302(self, *_: object) -> None:
        """Never."""

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302  # type: ignore[assignment]


def _opener(server: Server) -> urllib.request.OpenerDirector:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect(), TimedHandler()]
    if urlsplit(server.address).scheme == "https":
        handlers.append(https_handler(server))
    if server.tls_name:
        handlers.append(urllib.request.ProxyHandler({}))  # through one of the environment the name would be the proxy's
    elif server.proxy:
        handlers.append(urllib.request.ProxyHandler({"http": server.proxy, "https": server.proxy}))
    return urllib.request.build_opener(*handlers)


def _object(body: bytes, path: str) -> dict[str, Any]:
    if not body:
        return {}
    found = _json(body) if len(body) <= LARGEST else None
    if isinstance(found, dict):
        return found
    raise VaultUnavailable(
        f"what answers at VAULT_ADDR ({path}) is not Vault, or its answer is cut or larger than {LARGEST} bytes",
        path=path,
        hint="Check VAULT_ADDR, and what stands between.",
    )


def _body(refused: urllib.error.HTTPError) -> Mapping[str, Any]:
    """The JSON object of a refusal; {} where it was not Vault that answered."""
    try:
        found = _json(refused.read(LARGEST))
    except (OSError, HTTPException, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _json(text: bytes) -> object:
    """What a text says as JSON; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _texts(body: Mapping[str, Any], hidden: Sequence[str]) -> str:
    """Vault's own words, without what it was sent."""
    texts = body.get("errors")
    said = "; ".join(map(str, texts)) if isinstance(texts, list) else ""
    for each in hidden:
        said = said.replace(each, "***")
    return printable(" ".join(said.split())[:300])


def _deleted_version(body: Mapping[str, Any]) -> int:
    """The number of a version that was deleted; 0 where there never was one."""
    try:
        version = body["data"]["metadata"]["version"]
    except (KeyError, TypeError):
        return 0
    return version if isinstance(version, int) else 0


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate was refused ({reason.verify_message})"
    if isinstance(reason, HTTPException):  # its text may hold what was answered
        return f"its answer is cut, or no HTTP ({type(reason).__name__})"
    return (isinstance(reason, OSError) and reason.strerror) or str(reason) or type(error).__name__


def _refusal(status: int, body: Mapping[str, Any], path: str, hidden: Sequence[str]) -> RotatorError:
    texts = _texts(body, hidden)
    said = f": {texts}" if texts else ""
    if status == HTTPStatus.NOT_FOUND:
        return CredentialsMissing(
            f"there is no secret at {path} in Vault",
            hint="Check the mount and the path. Was it deleted? `vault kv undelete` brings a deleted version back.",
            version=_deleted_version(body),
        )
    if status == HTTPStatus.FORBIDDEN and "1 error occurred" in texts and "invalid token" not in texts:
        return VaultDenied(
            f"Vault does not let this token read {path}, or write there",
            path=path,
            status=status,
            hint="It needs the policy of docs/apps.md: read on the data path of this secret.",
        )
    if status in {HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}:
        return VaultLoginFailed(
            f"Vault refused the call of {path}{said}",
            path=path,
            status=status,
            hint="The token or login has expired, was revoked, or has no right to this path.",
        )
    if status == HTTPStatus.SERVICE_UNAVAILABLE and "sealed" in texts:
        return VaultSealed("Vault is sealed", path=path, status=status, hint="Unseal it.")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS or _redirects(status):
        return VaultUnavailable(
            f"Vault answered {status} to the call of {path}{said}", path=path, status=status, hint="Try again later."
        )
    return VaultRefused(f"Vault answered {status} to the call of {path}{said}", path=path, status=status)


def _redirects(status: int) -> bool:
    return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
