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
from http import HTTPStatus
from urllib.parse import quote

from worker.adapters.hostup.answers import HostUpResponse, new_key, one_line, read, usable_name
from worker.adapters.hostup.complaints import blocked_by_gateway, is_page
from worker.adapters.http.client import HttpClient
from worker.adapters.http.deadline import within
from worker.adapters.http.messages import NoResponse, Request, Response
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
    """The HostUp API over one shared :class:`.HttpClient`; safe for use by many threads.

    ``create_deadline`` and ``deadline`` are seconds for a whole call: the first for a create, the second for the rest.
    Raises ConfigurationError when the address is neither https nor this machine, or when the key cannot be a header.
    """

    def __init__(
        self, client: HttpClient, base_url: str, api_key: Secret, *, create_deadline: float, deadline: float
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
        response = self._ask(operation, self._request("POST", "/keys", body))
        access_key, secret_key = new_key(response)
        if response.is_success and access_key and secret_key:
            return CreatedKey(access_key, Secret(secret_key), response.request_id)  # also with "success": false
        if response.is_success and access_key:
            raise _unsettled(operation, response, "shows an access key without a usable secret", access_key)
        raise self._failure(operation, response)

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
        response = self._ask(operation, self._request("DELETE", f"/keys/{_segment(operation, access_key, form)}"))
        agreed = response.succeeded and response.data.get("deleted") is not False
        if agreed or response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.NO_CONTENT):
            return DeletedKey(response.status, response.request_id, form)
        raise self._failure(operation, response)

    def status(self) -> StorageStatus:
        """The service's status (page "Service status"), with the number of keys where the API tells it.

        Raises HostUpRefused, HostUpUnreachable, HostUpUncertain.
        """
        operation = _Operation("status", "read the status of the object storage", self._deadline)
        response = self._ask(operation, self._request("GET", ""))
        provisioned = response.data.get("provisioned")
        if not response.succeeded or not isinstance(provisioned, bool):
            raise self._failure(operation, response)
        return StorageStatus(
            provisioned=provisioned,
            endpoint=usable_name(response.data.get("endpoint")),
            region=usable_name(response.data.get("awsRegion")),
            key_count=_count(response.data.get("keyCount")),
            request_id=response.request_id,
        )

    def _request(self, method: str, path: str, body: bytes | None = None) -> Request:
        headers = {"X-API-Key": self._api_key.reveal(), "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        return Request(method, self._root + path, headers, body)

    def _ask(self, operation: _Operation, request: Request) -> HostUpResponse:
        outcome = self._send(operation, request)
        if isinstance(outcome, Response):
            return read(outcome, self._api_key)
        # raised here and not where it was caught, so that no lower error becomes this one's __context__
        raise _no_response(operation, outcome)

    def _send(self, operation: _Operation, request: Request) -> Response | NoResponse:
        try:
            with within(operation.deadline):
                return self._client.send(request, fresh=not operation.repeatable)
        except NoResponse as failure:
            return failure

    def _failure(self, operation: _Operation, response: HostUpResponse) -> HostUpError:
        call, request_id = _call(operation, response), response.request_id
        refused = f"HostUp refused to {operation.words}: {response.summary()}"
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            return HostUpRateLimited(refused, call, hint=_wait(call), request_id=request_id)
        if response.speaks_of_last_key:
            hint = "Create a new key first: HostUp keeps the last one."
            return HostUpLastKey(refused, call, hint=hint, request_id=request_id)
        if _is_clear_no(response):
            return HostUpRefused(refused, call, hint=_hint(operation, response), request_id=request_id)
        return _unsettled(operation, response, _complaint(response))


def _unsettled(
    operation: _Operation, response: HostUpResponse, why: str, access_key: str | None = None
) -> HostUpUncertain:
    what = f"HostUp gave no clear answer when asked to {operation.words}: its answer {why}"
    call, request_id = _call(operation, response), response.request_id
    return HostUpUncertain(what, call, hint=operation.unsettled, request_id=request_id, access_key=access_key)


def _call(operation: _Operation, response: HostUpResponse) -> HostUpCall:
    return HostUpCall(operation.name, response.status, response.code, response.retry_after(datetime.now(UTC)))


def _no_response(operation: _Operation, failure: NoResponse) -> HostUpError:
    call = HostUpCall(operation.name)
    if not failure.sent:
        what = f"HostUp could not be reached to {operation.words} ({failure.reason}); nothing was sent"
        hint = "Check the network, hostup.base_url and the certificate of that server."
        return HostUpUnreachable(what, call, hint=hint)
    why = f"within {operation.deadline:g} s" if failure.timed_out else "to its end"
    what = f"HostUp did not answer {why} when asked to {operation.words} ({failure.reason})"
    return HostUpUncertain(what, call, hint=operation.unsettled)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _is_clear_no(response: HostUpResponse) -> bool:
    # 408 is the server's own time-out: it does not tell how far the server got
    refused = response.is_error and response.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return response.is_redirect or (refused and response.status != HTTPStatus.REQUEST_TIMEOUT)


def _complaint(response: HostUpResponse) -> str:
    if not response.is_success:
        return f"was {response.summary()}"
    if response.document is None:
        kind = "a web page" if is_page(response.response) else "not a JSON object"
        return f"was {response.status}, but {kind}"
    if response.document.get("success") is False:
        said = f': "{response.message}"' if response.message else ""
        return f"was {response.status}, but says that it failed{said}"
    return f"was {response.status}, but lacks what belongs in it"


def _hint(operation: _Operation, response: HostUpResponse) -> str:
    wrong_page = response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    if is_page(response.response) and not response.is_redirect and not wrong_page:
        return blocked_by_gateway(response.response)
    if operation.name == "create_key" and response.status in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY):
        return (
            f"{operation.refused} If it speaks of a limit of keys, a place comes free when a retiring key is deleted."
        )
    if response.is_redirect:
        return "Check hostup.base_url: redirects are never followed, as they would carry the API key elsewhere."
    if wrong_page:
        return "Check hostup.base_url: there is no such page."
    return _of_login(response) or operation.refused


def _of_login(response: HostUpResponse) -> str:
    if response.status == HTTPStatus.UNAUTHORIZED:
        return "Check HOSTUP_API_KEY: HostUp does not know it."
    if response.status == HTTPStatus.FORBIDDEN and "identity verification" in response.message.casefold():
        return "Verify the identity of the account in HostUp's panel; the key in HOSTUP_API_KEY belongs to it."
    if response.status == HTTPStatus.FORBIDDEN:
        return "Check HOSTUP_API_KEY: the key needs the right to manage object storage."
    return ""


def _wait(call: HostUpCall) -> str:
    if call.retry_after is None:
        return "Nothing was changed. Try again later."
    return f"Nothing was changed. Try again in {call.retry_after:.0f} s."


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
