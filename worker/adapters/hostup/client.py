"""The HostUp API: create, delete and count access keys. One call each, never retried in here.

What an answer means is decided by what it proves: :mod:`.creating` and :mod:`.failures`.
"""

from __future__ import annotations

import base64
import json
from http import HTTPStatus
from urllib.parse import quote

from worker.adapters.hostup.answers import HostUpResponse, one_line, read, usable_word
from worker.adapters.hostup.api_key import ApiKey
from worker.adapters.hostup.creating import key_or_error
from worker.adapters.hostup.failures import Operation, failure, unanswered, unreachable
from worker.adapters.hostup.sending import Sender
from worker.adapters.hostup.values import count_problem, key_name_problem
from worker.adapters.http.client import HttpClient
from worker.adapters.http.deadline import seconds_left, within
from worker.adapters.http.messages import Response
from worker.errors import (
    ConfigurationError,
    HostUpCall,
    HostUpError,
    HostUpKeyMissing,
    HostUpKeyRolled,
    HostUpRefused,
    UsageError,
)
from worker.meter import NO_METER, Meter
from worker.rotation.ports import CreatedKey, DeletedKey, StorageStatus
from worker.secret import Secret, is_one_word
from worker.settings.account_keys import variable_of
from worker.settings.address import require_address
from worker.settings.credential import Credential
from worker.targets.account import DEFAULT_ACCOUNT, address_of_hostup

_ROOT = "/api/object-storage"

LEAST_LEFT = 0.5
"""Of a create's time has to be left once its API key is in hand."""


class HostUpClient:
    """The HostUp API over one shared :class:`.HttpClient`; safe for use by many threads.

    ``create_deadline`` and ``deadline`` are seconds for a whole call: the first for a create, the second for the rest.
    A call that HostUp refuses for the API key (401) has done nothing. So it is made once more, within the same time,
    where the key's file, or Vault, holds another one by now; HostUpKeyRolled says that one is on its way.
    Raises ConfigurationError when the address is neither https nor this machine, or when the key cannot be a header.
    """

    def __init__(
        self,
        client: HttpClient,
        base_url: str,
        api_key: ApiKey,
        *,
        create_deadline: float,
        deadline: float,
        meter: Meter = NO_METER,
        account: str = DEFAULT_ACCOUNT,
    ) -> None:
        self._sender = Sender(client, require_address(base_url, address_of_hostup(account)) + _ROOT, meter)
        self._account = account
        self._api_key = _require_api_key(api_key, account)
        self._create_deadline = create_deadline
        self._deadline = deadline

    def create_key(self, label: str) -> CreatedKey:
        """Make one new key (page "Create a key"). Whatever it raises, at most one create was not refused.

        All that is received is kept until it is judged, in memory and at most 8 MiB, see :mod:`.creating`.
        Raises HostUpRefused (nothing was made), HostUpUnreachable (nothing was sent), HostUpUncertain (it may exist).
        """
        operation = Operation(
            "create_key",
            f'create an access key labelled "{one_line(label)}"',
            self._create_deadline,
            "The key may exist all the same: look for its label in HostUp's panel.",
            "Nothing was changed. If the message speaks of the label, change the target's label.",
            repeatable=False,
            account=self._account,
        )
        with within(operation.deadline):
            api_key = self._api_key.current()
            if seconds_left() < operation.deadline * LEAST_LEFT:  # a create that times out may have made a key
                what = "the API key took too long to be read; nothing was sent"
                raise HostUpKeyMissing(what, HostUpCall(operation.name), hint="See what is slow: `rotator check`.")
            made = self._create(operation, label, api_key)
            if isinstance(made, HostUpRefused) and made.answer.status == HTTPStatus.UNAUTHORIZED:
                other = self._api_key.other_than(api_key)
                made = self._create(operation, label, other) if other else made
        if isinstance(made, CreatedKey):
            return made
        raise self._excused(made) if isinstance(made, HostUpRefused) else made

    def _excused(self, refused: HostUpRefused) -> HostUpRefused:
        """The refusal, unless it is one of a key that is just being rolled: that says nothing of the account."""
        if refused.answer.status != HTTPStatus.UNAUTHORIZED or not self._api_key.is_rolled():
            return refused
        what, hint = f"{refused.what}; it is being rolled", "The next one is on its way: it is tried again."
        return HostUpKeyRolled(what, refused.answer, hint=hint, request_id=refused.request_id)

    def _create(self, operation: Operation, label: str, api_key: Secret) -> CreatedKey | HostUpError:
        request = self._sender.request(api_key, "POST", "/keys", json.dumps({"label": label}).encode())
        outcome = self._sender.send(operation, request, keep_raw=True)
        try:
            read_outcome = read(outcome, api_key) if isinstance(outcome, Response) else outcome
            return key_or_error(operation, read_outcome, label, api_key)
        finally:
            if outcome.raw:
                outcome.raw.wipe()

    def delete_key(self, access_key: str, form: str = "base64") -> DeletedKey:
        """Delete one key by name (page "Delete a key"); ``form`` is how it stands in the path: ``base64`` or ``plain``.

        404, 410 and 204 are results like 200: only a probe proves that the key is dead. Raises HostUpLastKey,
        HostUpRefused, HostUpUnreachable, HostUpUncertain; UsageError for an unknown form.
        """
        operation = Operation(
            "delete_key",
            f"delete the access key {one_line(access_key)}",
            self._deadline,
            "The key may be deleted already; a delete can be repeated.",
            account=self._account,
        )
        response = self._ask(operation, "DELETE", f"/keys/{_segment(operation, access_key, form)}")
        agreed = response.succeeded and response.data.get("deleted") is not False
        if agreed or response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.NO_CONTENT):
            return DeletedKey(response.status, response.request_id, form)
        raise failure(operation, response)

    def status(self) -> StorageStatus:
        """The service's status (page "Service status"), with the number of keys where the API tells it.

        Raises HostUpRefused, HostUpUnreachable, HostUpUncertain.
        """
        words, account = "read the status of the object storage", self._account
        operation = Operation("status", words, self._deadline, account=account)
        response = self._ask(operation, "GET", "")
        provisioned = response.data.get("provisioned")
        if not response.succeeded or not isinstance(provisioned, bool):
            raise failure(operation, response)
        count = response.data.get("keyCount")
        problem = count_problem(count)
        return StorageStatus(
            provisioned=provisioned,
            endpoint=usable_word(response.data.get("endpoint")),
            region=usable_word(response.data.get("awsRegion")),
            key_count=count if isinstance(count, int) and not problem else None,
            request_id=response.request_id,
            count_problem=problem or "",
        )

    def _ask(self, operation: Operation, method: str, path: str) -> HostUpResponse:
        with within(operation.deadline):
            api_key = self._api_key.current()
            outcome = self._sender.send(operation, self._sender.request(api_key, method, path))
            if isinstance(outcome, Response) and outcome.status == HTTPStatus.UNAUTHORIZED:
                other = self._api_key.other_than(api_key)
                if other:
                    api_key = other
                    outcome = self._sender.send(operation, self._sender.request(api_key, method, path))
        if isinstance(outcome, Response):
            response = read(outcome, api_key)
            error = failure(operation, response) if response.status == HTTPStatus.UNAUTHORIZED else None
            if isinstance(error, HostUpRefused) and isinstance(error := self._excused(error), HostUpKeyRolled):
                raise error
            return response
        # raised here and not where it was caught, so that no lower error becomes this one's __context__
        raise unanswered(operation, outcome) if outcome.sent else unreachable(operation, outcome)


def _segment(operation: Operation, access_key: str, form: str) -> str:
    """The key as one segment of the path: ``+``, ``/`` and ``=`` are percent-encoded."""
    if form not in ("base64", "plain"):
        raise UsageError(f"There is no way to write a key in a path that is called {form!r}", hint="base64 or plain.")
    # "." and ".." would name another page, and an empty name all keys
    if key_name_problem(access_key):
        hint = "Nothing was sent. Correct the name by hand."
        raise HostUpRefused(
            f"Will not {operation.words}: no key has such a name", HostUpCall(operation.name), hint=hint
        )
    text = base64.b64encode(access_key.encode()).decode() if form == "base64" else access_key
    return quote(text, safe="")


def _require_api_key(api_key: ApiKey, account: str) -> ApiKey:
    # one in Vault is looked at when it is read: no call is made here
    if isinstance(api_key, Credential) and not is_one_word(api_key.current().reveal()):
        what = f"{variable_of(account)} is empty or holds blanks, line ends or letters beyond ASCII"
        raise ConfigurationError((what,))
    return api_key
