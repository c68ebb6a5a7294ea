"""The HostUp API: create, delete and count access keys. One call each, never retried in here.

What an answer means is decided by what it proves:

- nothing was sent: :class:`~worker.errors.HostUpUnreachable`;
- a redirect (never followed) or a 4xx other than 408: :class:`~worker.errors.HostUpRefused`, nothing was changed;
- everything else that is not a readable success: :class:`~worker.errors.HostUpUncertain`, it may have been done.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import httpx

from worker.adapters.hostup.answers import Reading, new_key, one_line, read, usable_name
from worker.adapters.http.client import Reply, call, nothing_was_sent
from worker.errors import (
    ConfigurationError,
    HostUpCall,
    HostUpError,
    HostUpLastKey,
    HostUpRateLimited,
    HostUpRefused,
    HostUpUncertain,
    HostUpUnreachable,
    UsageError,
)
from worker.rotation.ports import CreatedKey, DeletedKey, StorageStatus
from worker.secret import Secret
from worker.settings.address import require_address

_ROOT = "/api/object-storage"


@dataclass(frozen=True, slots=True)
class _Operation:
    """What is asked: its name in logs, and the same in words; ``deadline`` in seconds, for the call as a whole."""

    name: str
    words: str
    deadline: float
    unsettled: str = "Nothing was changed. Try again later."
    """The hint for when nobody knows whether it was done."""
    refused: str = "Nothing was changed."
    """The hint for a refusal that has no better one."""
    repeatable: bool = True
    """Otherwise it gets a connection of its own, which cannot be one that the server is just closing."""


class HostUpClient:
    """The HostUp API over one shared httpx client (``adapters.http``); safe for use by many threads.

    ``create_deadline`` and ``deadline`` are seconds for a whole call: the first for a create, the second for the rest.
    Raises ConfigurationError when the address is neither https nor this machine, or when the key cannot be a header.
    """

    def __init__(
        self, client: httpx.Client, base_url: str, api_key: Secret, *, create_deadline: float, deadline: float
    ) -> None:
        self._client = client
        self._root = require_address(base_url, "hostup.base_url") + _ROOT
        self._api_key = _require_api_key(api_key)
        self._create_deadline = create_deadline
        self._deadline = deadline

    def create_key(self, label: str) -> CreatedKey:
        """Make one new key (page "Create a key"). Whatever it raises, it was tried once.

        Raises HostUpRefused (nothing was made), HostUpUnreachable (nothing was sent), HostUpUncertain (it may exist).
        """
        operation = _Operation(
            "create_key",
            f'create an access key labelled "{one_line(label)}"',
            self._create_deadline,
            "The key may exist all the same: look for its label in HostUp's panel.",
            "Nothing was changed. If the message speaks of the label, change the target's label.",
            repeatable=False,
        )
        body = json.dumps({"label": label}).encode()
        reading = self._ask(operation, self._request("POST", "/keys", body))
        access_key, secret_key = new_key(reading)
        if httpx.codes.is_success(reading.status) and access_key and secret_key:
            return CreatedKey(access_key, Secret(secret_key), reading.request_id)  # also with "success": false
        if httpx.codes.is_success(reading.status) and access_key:
            raise _unsettled(operation, reading, "shows an access key without a usable secret", access_key)
        raise self._failure(operation, reading)

    def delete_key(self, access_key: str, form: str = "base64") -> DeletedKey:
        """Delete one key by name (page "Delete a key"); ``form`` is how it stands in the path: ``base64`` or ``plain``.

        404 and 204 are results like 200: only a probe proves that the key is dead. Raises HostUpLastKey, HostUpRefused,
        HostUpUnreachable, HostUpUncertain; UsageError for an unknown form.
        """
        operation = _Operation(
            "delete_key",
            f"delete the access key {one_line(access_key)}",
            self._deadline,
            "The key may be deleted already; a delete can be repeated.",
        )
        reading = self._ask(operation, self._request("DELETE", f"/keys/{_segment(operation, access_key, form)}"))
        agreed = reading.succeeded and reading.data.get("deleted") is not False
        if agreed or reading.status in (httpx.codes.NOT_FOUND, httpx.codes.NO_CONTENT):
            return DeletedKey(reading.status, reading.request_id, form)
        raise self._failure(operation, reading)

    def status(self) -> StorageStatus:
        """The service's status (page "Service status"), with the number of keys where the API tells it.

        Raises HostUpRefused, HostUpUnreachable, HostUpUncertain.
        """
        operation = _Operation("status", "read the status of the object storage", self._deadline)
        reading = self._ask(operation, self._request("GET", ""))
        provisioned = reading.data.get("provisioned")
        if not reading.succeeded or not isinstance(provisioned, bool):
            raise self._failure(operation, reading)
        return StorageStatus(
            provisioned=provisioned,
            endpoint=usable_name(reading.data.get("endpoint")),
            region=usable_name(reading.data.get("awsRegion")),
            key_count=_count(reading.data.get("keyCount")),
            request_id=reading.request_id,
        )

    def _request(self, method: str, path: str, body: bytes | None = None) -> httpx.Request:
        headers = {"X-API-Key": self._api_key.reveal(), "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return self._client.build_request(method, self._root + path, content=body, headers=headers)

    def _ask(self, operation: _Operation, request: httpx.Request) -> Reading:
        outcome = self._send(operation, request)
        if isinstance(outcome, Reply):
            return read(outcome, self._api_key)
        # raised here and not where it was caught, so that no lower error becomes this one's __context__
        raise _no_answer(operation, outcome)

    def _send(self, operation: _Operation, request: httpx.Request) -> Reply | httpx.TransportError:
        try:
            return call(self._client, request, deadline=operation.deadline, fresh=not operation.repeatable)
        except httpx.TransportError as error:
            return error

    def _failure(self, operation: _Operation, reading: Reading) -> HostUpError:
        now = datetime.now(UTC)
        answer = HostUpCall(operation.name, reading.status, reading.code, reading.retry_after(now))
        refused = f"HostUp refused to {operation.words}: {reading.summary()}"
        if reading.status == httpx.codes.TOO_MANY_REQUESTS:
            return HostUpRateLimited(refused, answer, hint=_wait(answer), request_id=reading.request_id)
        if reading.speaks_of_last_key:
            hint = "Create a new key first: HostUp keeps the last one."
            return HostUpLastKey(refused, answer, hint=hint, request_id=reading.request_id)
        if _is_clear_no(reading.status):
            return HostUpRefused(refused, answer, hint=_hint(operation, reading), request_id=reading.request_id)
        return _unsettled(operation, reading, _complaint(reading))


def _unsettled(operation: _Operation, reading: Reading, why: str, access_key: str | None = None) -> HostUpUncertain:
    answer = HostUpCall(operation.name, reading.status, reading.code, reading.retry_after(datetime.now(UTC)))
    what = f"HostUp gave no clear answer when asked to {operation.words}: its answer {why}"
    return HostUpUncertain(what, answer, hint=operation.unsettled, request_id=reading.request_id, access_key=access_key)


def _no_answer(operation: _Operation, error: httpx.TransportError) -> HostUpError:
    answer = HostUpCall(operation.name)
    kind = type(error).__name__
    if nothing_was_sent(error):
        what = f"HostUp could not be reached to {operation.words} ({kind}); nothing was sent"
        hint = "Check the network, hostup.base_url and the certificate of that server."
        return HostUpUnreachable(what, answer, hint=hint)
    why = f"within {operation.deadline:g} s" if isinstance(error, httpx.TimeoutException) else "to its end"
    what = f"HostUp did not answer {why} when asked to {operation.words} ({kind})"
    return HostUpUncertain(what, answer, hint=operation.unsettled)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _is_clear_no(status: int) -> bool:
    # 408 is the server's own time-out: it does not tell how far the server got
    redirected = httpx.codes.is_redirect(status)
    return redirected or (httpx.codes.is_client_error(status) and status != httpx.codes.REQUEST_TIMEOUT)


def _complaint(reading: Reading) -> str:
    if not httpx.codes.is_success(reading.status):
        return f"was {reading.summary()}"
    if reading.document is None:
        return f"was {reading.status}, but not a JSON object"
    if reading.document.get("success") is False:
        return f"was {reading.status}, but says that it failed"
    return f"was {reading.status}, but lacks what belongs in it"


def _hint(operation: _Operation, reading: Reading) -> str:
    if reading.status == httpx.codes.UNAUTHORIZED:
        return "Check HOSTUP_API_KEY: HostUp does not know it."
    if reading.status == httpx.codes.FORBIDDEN and "identity verification" in reading.message.casefold():
        return "Verify the identity of the account in HostUp's panel; the key in HOSTUP_API_KEY belongs to it."
    if reading.status == httpx.codes.FORBIDDEN:
        return "Check HOSTUP_API_KEY: the key needs the right to manage object storage."
    if httpx.codes.is_redirect(reading.status):
        return "Check hostup.base_url: redirects are never followed, as they would carry the API key elsewhere."
    if reading.status in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
        return "Check hostup.base_url: there is no such page."
    return operation.refused


def _wait(answer: HostUpCall) -> str:
    if answer.retry_after is None:
        return "Nothing was changed. Try again later."
    return f"Nothing was changed. Try again in {answer.retry_after:.0f} s."


def _segment(operation: _Operation, access_key: str, form: str) -> str:
    """The key as one segment of the path: ``+``, ``/`` and ``=`` are percent-encoded."""
    if form not in ("base64", "plain"):
        raise UsageError(f"There is no way to write a key in a path that is called {form!r}", hint="base64 or plain.")
    # "." and ".." would name another page, and an empty name all keys
    if usable_name(access_key) is None or access_key in (".", ".."):
        hint = "Nothing was sent. Correct the name by hand."
        raise HostUpRefused(
            f"Will not {operation.words}: no key has such a name", HostUpCall(operation.name), hint=hint
        )
    text = base64.b64encode(access_key.encode()).decode() if form == "base64" else access_key
    return quote(text, safe="")


def _require_api_key(api_key: Secret) -> Secret:
    value = api_key.reveal()
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise ConfigurationError(("HOSTUP_API_KEY is empty or holds blanks, line ends or letters beyond ASCII",))
    return api_key
