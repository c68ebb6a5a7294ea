"""hvac on :mod:`worker.adapters.http`: the adapter that sends what hvac builds.

hvac lets its transport be replaced (``hvac.adapters.Adapter``). Its own one follows redirects with token and body, has
time-outs per read only, and puts answers into error texts (docs/facts.md, "hvac"). This one sends every request
with a deadline as a whole, follows nothing, and reports what went wrong as :class:`CallFailed`, which holds no token
and nothing of the request.
"""

from __future__ import annotations

import json as jsonlib
import random
import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import urlencode

import hvac  # type: ignore[import-untyped]  # hvac ships no types
import hvac.adapters  # type: ignore[import-untyped]  # the same

from worker.adapters.http.deadline import seconds_left
from worker.adapters.http.engine import Engine
from worker.adapters.http.messages import NoResponse, Request, Response
from worker.adapters.vault.metered import Metered
from worker.adapters.vault.witness import Listening

HvacClient: TypeAlias = Any
"""An ``hvac.Client``, of which hvac tells no types: what it answers is checked where it is used."""

QUOTABLE = 200
"""Characters. Vault's own messages are shorter; a longer text is not quoted at all."""

MOST_VALUES = 200_000
"""Of an answer, commas in its texts included: 4 MiB of empty objects would take 140 MB. Vault itself takes no more than
10,000 in one object or list."""

SHORTEST_SECRET = 4
"""Characters. What is shorter is no secret, and taking it out would only garble the text."""

SHORTEST_QUOTA_PAUSE, LONGEST_QUOTA_PAUSE = 0.1, 2.0
"""Seconds before the next try where a rate limit quota is used up, before jitter; most quotas are for each second."""

Sender: TypeAlias = Engine | Listening | Metered
"""What sends requests."""
_TOO_LARGE = (
    "value being too large",  # raft and memory (sdk/physical)
    "exceeds max entry size",
    "byte limit",  # Consul
    "request body too large",
    "request is too large",  # etcd
    "maximum allowed size",  # DynamoDB
    "max_allowed_packet",  # MySQL
    "high complexity",  # OpenBao: more than 1,000 strings
    "exceeds allowed",  # Vault: a string of more than 1 MiB, objects and lists of more than 10,000
)
"""What Vault and its storages say of too much, mostly as status 400 or 500 (docs/facts.md, "Vault")."""

Sleep = Callable[[float], None]

_jitter = random.SystemRandom()
_TOKEN = re.compile(r"(?<![\w.])(?:hv[sbr]|[sbr])\.[\w.-]{8,}")
_UUID = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)


class CallFailed(Exception):
    """One call to Vault that did not succeed; never leaves the Vault part, see :mod:`worker.adapters.vault.errors`.

    ``status`` is None when there was no whole answer, and ``sent`` is False when the request never left.
    ``from_vault`` tells an answer of Vault's from one of a proxy's. ``text`` is Vault's own ``errors``, cleaned and
    fit to be quoted. ``document`` is the body of a 404 of Vault's, which describes a deleted version. ``is_too_large``:
    more was to be written than Vault, its storage or a proxy takes.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        sent: bool = True,
        answer: Mapping[str, Any] | None = None,
        text: str = "",
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.sent = sent
        self.from_vault = answer is not None and _is_vaults(answer)
        self.document = answer if self.from_vault and status == HTTPStatus.NOT_FOUND else None
        self.text = text
        # by the answer itself: the names that storages put into it can make it too long to be quoted
        self.is_too_large = status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or (
            self.from_vault and _says_too_large((answer or {}).get("errors"))
        )

    @property
    def is_missing(self) -> bool:
        """Whether Vault said that there is nothing (any more) at an existing mount's path."""
        return self.document is not None and not self.document.get("errors")

    @property
    def describes_deleted(self) -> bool:
        """Whether Vault described a version that was deleted or destroyed: a 404 with data."""
        return self.document is not None and isinstance(self.document.get("data"), dict)


def open_client(http: Sender, address: str, namespace: str | None, token: str, sleep: Sleep) -> HvacClient:
    """An ``hvac.Client`` for this one token. An empty token sends none (and keeps hvac from looking for one)."""
    return hvac.Client(
        url=address, token=token, namespace=namespace, session=http, adapter=DeadlineAdapter, sleep=sleep
    )


class DeadlineAdapter(hvac.adapters.Adapter):  # type: ignore[misc]  # hvac ships no types
    """Sends within the deadline of :mod:`worker.adapters.http.deadline`, and waits out rate limit quotas within it.

    Answers a 2xx with its JSON object, or None where there is no body; everything else raises :class:`CallFailed`,
    unless ``raise_exception=False`` asks for the JSON of an error (``sys/health``).
    """

    def __init__(  # Adapter.__init__ is not called: all it adds is a session of requests'
        self,
        *,
        base_uri: str,
        token: str,
        namespace: str | None,
        session: Sender,
        sleep: Sleep,
        **_: object,
    ) -> None:
        self.base_uri = base_uri
        self.token = token
        self.namespace = namespace
        self.session = session
        self._sleep = sleep
        self._headers = {
            "X-Vault-Request": "true",
            **({"X-Vault-Token": token} if token else {}),
            **({"X-Vault-Namespace": namespace} if namespace else {}),
        }

    def get_login_token(self, response: Mapping[str, Any]) -> str:
        """The token of a login's answer; hvac asks for it when a login is to set the client's token."""
        return str(response["auth"]["client_token"])

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        raise_exception: bool = True,  # noqa: FBT001, FBT002 - hvac's signature
        **kwargs: Any,
    ) -> Mapping[str, Any] | None:
        """Send one request; see the class. ``kwargs`` may hold ``json``, ``params`` and ``wrap_ttl``."""
        request = self._build(method, url, {**self._headers, **(headers or {})}, kwargs)
        response = self._within_quota(request) if raise_exception else self._send(request)
        status, answer = response.status, _object(response.body)
        if status == HTTPStatus.NO_CONTENT:
            return None
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES or not raise_exception:
            if answer is None:
                raise CallFailed("the answer cannot be read", status=status)
            return answer
        text = _quotable(answer, {self.token, *_strings(kwargs.get("json"))})
        raise CallFailed(f"answered {status}", status=status, answer=answer, text=text)

    def _build(self, method: str, url: str, headers: dict[str, str], kwargs: Mapping[str, Any]) -> Request:
        if kwargs.get("wrap_ttl"):
            headers["X-Vault-Wrap-TTL"] = str(kwargs["wrap_ttl"])
        params = dict(kwargs.get("params") or {})
        if method == "list":  # the same to Vault, and gateways let it through
            method, params["list"] = "get", "true"
        body = None
        if "json" in kwargs:
            body = jsonlib.dumps(kwargs["json"], allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        query = f"?{urlencode(params)}" if params else ""
        return Request(method.upper(), f"{self.base_uri.rstrip('/')}{url}{query}", headers, body)

    def _within_quota(self, request: Request) -> Response:
        """Send again after a 429, which says that nothing was done, as long as there is time."""
        pause = SHORTEST_QUOTA_PAUSE
        while True:
            response = self._send(request)
            if response.status != HTTPStatus.TOO_MANY_REQUESTS:
                return response
            asked = response.headers.get("retry-after", "")
            # many threads are turned away at once, and must not come back at once
            wait = (float(asked) if asked.isdecimal() else pause) + _jitter.uniform(0.0, pause)
            if wait >= seconds_left():
                return response
            self._sleep(wait)
            pause = min(pause * 2, LONGEST_QUOTA_PAUSE)

    def _send(self, request: Request) -> Response:
        try:
            return self.session.send(request)
        except NoResponse as failure:
            failed = CallFailed(failure.reason, sent=failure.sent)
        raise failed


def _object(body: bytes) -> Mapping[str, Any] | None:
    if sum(map(body.count, (b"{", b"[", b","))) > MOST_VALUES:
        return None
    try:
        answer = jsonlib.loads(body)
    except (ValueError, RecursionError):  # RecursionError: brackets nested too deep
        return None
    return answer if isinstance(answer, dict) else None


def _is_vaults(answer: Mapping[str, Any]) -> bool:
    errors = answer.get("errors")
    if isinstance(errors, list):
        return all(isinstance(error, str) for error in errors)
    return isinstance(answer.get("data"), dict)


def _says_too_large(errors: object) -> bool:
    said = " ".join(errors).lower() if isinstance(errors, list) else ""
    return any(words in said for words in _TOO_LARGE)


def _quotable(answer: Mapping[str, Any] | None, secrets: set[str]) -> str:
    """Vault's own ``errors`` on one line without anything secret; empty when there are none or they are long."""
    if answer is None or not _is_vaults(answer):
        return ""
    text = " ".join("; ".join(answer.get("errors") or ()).split())
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***") if len(secret) >= SHORTEST_SECRET else text
    text = _UUID.sub("***", _TOKEN.sub("***", text))
    return text if len(text) <= QUOTABLE and text.isprintable() else ""


def _strings(value: object) -> Iterator[str]:
    """Every string value in a request's body: an answer that echoes one must not be quoted with it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _strings(item)
