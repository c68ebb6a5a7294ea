"""HostUp's API about API keys: roll one, create one, see that one works. One call each, never retried in here.

Every call names the key that it is made by, as none of them may be made by whichever key is in use just then.
"""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import quote

from worker.adapters.hostup.answers import HostUpResponse, one_line, read, usable_word
from worker.adapters.hostup.failures import Operation, failure, unanswered, unreachable, unsettled
from worker.adapters.hostup.new_api_key import documented, searched
from worker.adapters.hostup.sending import Sender
from worker.adapters.hostup.values import count_problem, key_name_problem
from worker.adapters.http.client import HttpClient
from worker.adapters.http.deadline import within
from worker.adapters.http.messages import NoResponse, Request, Response
from worker.errors import HostUpCall, HostUpError, HostUpRefused
from worker.meter import NO_METER, Meter
from worker.rotation.ports import ApiKeyGrants, NewApiKey, StorageStatus
from worker.secret import Secret
from worker.settings.address import require_address
from worker.targets.account import DEFAULT_ACCOUNT, address_of_hostup

DEFAULT_NAME = "hostup-rotator"
_UNSETTLED = "The answer may hold the only copy of the new API key: see `rotator status` for what became of it."
_REFUSED = "Nothing was changed: the API key stays as it is. See that it may roll API keys."


class ApiKeyClient:
    """See :class:`worker.rotation.ports.ApiKeysPort`; safe for use by many threads.

    ``roll_deadline`` and ``deadline`` are seconds for a whole call: of those that make a key, and of the rest.
    Raises ConfigurationError when the address is neither https nor this machine.
    """

    def __init__(
        self,
        client: HttpClient,
        base_url: str,
        *,
        roll_deadline: float,
        deadline: float,
        meter: Meter = NO_METER,
        account: str = DEFAULT_ACCOUNT,
    ) -> None:
        self._sender = Sender(client, require_address(base_url, address_of_hostup(account)), meter)
        self._account = account
        self._roll_deadline = roll_deadline
        self._deadline = deadline

    def roll(self, key_id: str, api_key: Secret) -> NewApiKey:
        """``POST /api/keys/{keyId}/roll``: see the port. It is sent as the page shows it, without a body."""
        operation = self._making("roll_api_key", f"roll the API key {one_line(key_id)}")
        if key_name_problem(key_id):  # "." and ".." would name another page
            call = HostUpCall(operation.name)
            raise HostUpRefused(f"Will not {operation.words}: no key has such an id", call, hint="Correct key_id.")
        path = f"/api/keys/{quote(key_id, safe='')}/roll"
        return self._make(operation, self._sender.request(api_key, "POST", path, b""), api_key)

    def create(self, grants: ApiKeyGrants, api_key: Secret) -> NewApiKey:
        """``POST /api/keys``: see the port."""
        name = grants.name or DEFAULT_NAME
        body: dict[str, object] = {"name": name, "scopes": list(grants.scopes or ()), "is_test": False}
        if grants.dns_permissions:
            body["dns_permissions"] = list(grants.dns_permissions)
        operation = self._making("create_api_key", f'create an API key named "{one_line(name)}"')
        request = self._sender.request(api_key, "POST", "/api/keys", json.dumps(body).encode())
        return self._make(operation, request, api_key)

    def prove(self, api_key: Secret) -> StorageStatus:
        """``GET /api/object-storage``: see the port."""
        words, account = "read the status of the object storage", self._account
        operation = Operation("prove_api_key", words, self._deadline, account=account)
        with within(operation.deadline):
            outcome = self._sender.send(operation, self._sender.request(api_key, "GET", "/api/object-storage"))
        if isinstance(outcome, NoResponse):
            raise unanswered(operation, outcome) if outcome.sent else unreachable(operation, outcome)
        response = read(outcome, api_key)
        provisioned = response.data.get("provisioned")
        if not response.succeeded or not isinstance(provisioned, bool):
            raise failure(operation, response)
        count = response.data.get("keyCount")
        return StorageStatus(
            provisioned,
            usable_word(response.data.get("endpoint")),
            usable_word(response.data.get("awsRegion")),
            count if isinstance(count, int) and not count_problem(count) else None,
            response.request_id,
        )

    def _making(self, name: str, words: str) -> Operation:
        seconds, account = self._roll_deadline, self._account
        return Operation(name, words, seconds, _UNSETTLED, _REFUSED, repeatable=False, account=account)

    def _make(self, operation: Operation, request: Request, by: Secret) -> NewApiKey:
        with within(operation.deadline):
            outcome = self._sender.send(operation, request, keep_raw=True)
        raw = outcome.raw
        try:
            made = _judged(operation, outcome, by, raw.reveal() if raw else b"")
        finally:
            if raw:
                raw.wipe()
        if isinstance(made, NewApiKey):
            return made
        raise made


def _judged(operation: Operation, outcome: Response | NoResponse, by: Secret, raw: bytes) -> NewApiKey | HostUpError:
    """The key, sure or not, or the error that names what is known; never raises."""
    if isinstance(outcome, NoResponse) and not outcome.sent:
        return unreachable(operation, outcome)
    response = read(outcome, by) if isinstance(outcome, Response) else None
    sure = documented(response, by) if response else None
    if sure:
        return sure
    found = searched(raw, by)
    if found:
        return replace(found[0], others=tuple(each.api_key for each in found[1:]))
    if isinstance(outcome, NoResponse):
        return unanswered(operation, outcome)
    return _without_key(operation, read(outcome, by))


def _without_key(operation: Operation, response: HostUpResponse) -> HostUpError:
    if response.succeeded:
        return unsettled(operation, response, f"was {response.status}, but shows no API key")
    error = failure(operation, response)
    if response.status == HTTPStatus.NOT_FOUND and operation.name == "roll_api_key":
        error.hint = "HostUp knows no API key of this id: correct key_id beside the key in Vault."
    return error
