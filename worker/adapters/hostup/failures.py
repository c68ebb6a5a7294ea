"""What a call that failed says: the error for an answer, or for none.

- nothing was sent: :class:`~worker.errors.HostUpUnreachable`;
- a redirect (never followed) or a 4xx other than 408: :class:`~worker.errors.HostUpRefused`, nothing was changed;
- everything else: :class:`~worker.errors.HostUpUncertain`, it may have been done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus

from worker.adapters.hostup.answers import HostUpResponse
from worker.adapters.hostup.complaints import blocked_by_gateway, is_page
from worker.adapters.http.messages import NoResponse
from worker.errors import (
    HostUpCall,
    HostUpError,
    HostUpLastKey,
    HostUpRateLimited,
    HostUpRefused,
    HostUpUncertain,
    HostUpUnreachable,
)
from worker.settings.account_keys import api_key_words
from worker.targets.account import DEFAULT_ACCOUNT, address_of_hostup


@dataclass(frozen=True, slots=True)
class Operation:
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
    account: str = DEFAULT_ACCOUNT
    """Whose API is asked: hints name its settings."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a call whose outcome is not, see HostUpUncertain; without a ``hint`` the operation has its own.

    ``request_id`` counts only where the response shows none itself.
    """

    access_key: str | None = None
    request_id: str | None = None
    hint: str = ""


NOTHING_KNOWN = Known()


def failure(operation: Operation, response: HostUpResponse, request_id: str | None = None) -> HostUpError:
    """The error for an answer that is not a readable success; ``request_id`` is for one that shows none itself."""
    call, request_id = _call(operation, response), response.request_id or request_id
    refused = f"HostUp refused to {operation.words}: {response.summary()}"
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return HostUpRateLimited(refused, call, hint=_wait(call), request_id=request_id)
    if response.speaks_of_last_key:
        hint = "Create a new key first: HostUp keeps the last one."
        return HostUpLastKey(refused, call, hint=hint, request_id=request_id)
    if _is_clear_no(response):
        return HostUpRefused(refused, call, hint=_hint(operation, response), request_id=request_id)
    return unsettled(operation, response, _complaint(response), Known(request_id=request_id))


def unsettled(
    operation: Operation, response: HostUpResponse, why: str, known: Known = NOTHING_KNOWN
) -> HostUpUncertain:
    """The error for an answer that leaves it open what was done; ``why`` follows "its answer"."""
    what = f"HostUp gave no clear answer when asked to {operation.words}: its answer {why}"
    known = replace(known, request_id=response.request_id or known.request_id)
    return _uncertain(operation, what, _call(operation, response), known)


def unreachable(operation: Operation, lost: NoResponse) -> HostUpUnreachable:
    """The error for a request of which nothing was sent."""
    what = f"HostUp could not be reached to {operation.words} ({lost.reason}); nothing was sent"
    hint = f"Check the network, {address_of_hostup(operation.account)} and the certificate of that server."
    return HostUpUnreachable(what, HostUpCall(operation.name), hint=hint)


def unanswered(operation: Operation, lost: NoResponse, came: str = "", known: Known = NOTHING_KNOWN) -> HostUpUncertain:
    """The error for a request that was sent and got no whole answer; ``came`` follows "what came"."""
    why = f"within {operation.deadline:g} s" if lost.timed_out else "to its end"
    what = f"HostUp did not answer {why} when asked to {operation.words} ({lost.reason})"
    return _uncertain(operation, f"{what}; what came {came}" if came else what, HostUpCall(operation.name), known)


def _uncertain(operation: Operation, what: str, call: HostUpCall, known: Known) -> HostUpUncertain:
    hint = known.hint or operation.unsettled
    return HostUpUncertain(what, call, hint=hint, request_id=known.request_id, access_key=known.access_key)


def _call(operation: Operation, response: HostUpResponse) -> HostUpCall:
    return HostUpCall(operation.name, response.status, response.code, response.retry_after(datetime.now(UTC)))


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


def _hint(operation: Operation, response: HostUpResponse) -> str:
    wrong_page = response.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED)
    if is_page(response.response) and not response.is_redirect and not wrong_page:
        return blocked_by_gateway(response.response)
    if operation.name == "create_key" and response.status in (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY):
        return (
            f"{operation.refused} If it speaks of a limit of keys, a place comes free when a retiring key is deleted."
        )
    address = address_of_hostup(operation.account)
    if response.is_redirect:
        return f"Check {address}: redirects are never followed, as they would carry the API key elsewhere."
    if wrong_page:
        return f"Check {address}: there is no such page."
    return _of_login(response, operation.account) or operation.refused


def _of_login(response: HostUpResponse, account: str) -> str:
    api_key = f"the API key ({api_key_words(account)})"
    if response.status == HTTPStatus.UNAUTHORIZED:
        return f"Check {api_key}: HostUp does not know it."
    if response.status == HTTPStatus.FORBIDDEN and "identity verification" in response.message.casefold():
        return f"Verify the identity of the account in HostUp's panel; {api_key} belongs to it."
    if response.status == HTTPStatus.FORBIDDEN:
        return f"Check {api_key}: it needs the right to do that."
    return ""


def _wait(call: HostUpCall) -> str:
    if call.retry_after is None:
        return "Nothing was changed. Try again later."
    return f"Nothing was changed. Try again in {call.retry_after:.0f} s."
