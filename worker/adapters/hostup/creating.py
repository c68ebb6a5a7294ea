"""What the outcome of a create means: the new key, or the error that names what is known of it.

A create cannot be repeated, so its answer is judged by whether the key is in it and not by its form. An answer in the
documented form is read as it is. Where none can be read, :func:`~worker.adapters.hostup.salvage.salvage` looks for the
key in all that was received.

The label that was sent has to be the label in the answer, where there is one: else a cache or proxy mixed answers up,
and the key may be one that another target publishes. It is not published here, and never deleted by that name. Servers
also tidy texts up: blanks, letter case and Unicode form make no other label, as each label holds its rotation's id.

Only a 2xx hands a key over. Where the status says otherwise, or there is none, a whole key pair for the label that was
sent contradicts it: that key was made, since its secret is shown by a create only (page "Create a key"), but the call
may have failed after that. So it is never published, and its name is handed on to be retired. Anything less in such an
answer names nothing: an error may quote a key that is somebody else's, and a key that is named gets deleted.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from worker.adapters.hostup.answers import HostUpResponse
from worker.adapters.hostup.failures import Known, Operation, failure, unanswered, unreachable, unsettled
from worker.adapters.hostup.salvage import Found, Salvaged, salvage
from worker.adapters.hostup.values import SHORTEST_PART, key_name_problem, secret_problem
from worker.adapters.http.exchange import Received
from worker.adapters.http.messages import NoResponse
from worker.errors import HostUpError
from worker.rotation.ports import CreatedKey
from worker.secret import Secret

_OUT_OF_FORM = "no reader of HTTP and JSON took it"
_MIXED_UP = (
    "A cache or proxy may have mixed answers up: nothing between here and HostUp may keep answers. The key that was "
    "asked for may exist all the same: look for its label in HostUp's panel."
)

_CUT = (
    "It is the beginning of it, so HostUp seems to cut labels: give the target a shorter one, such as "
    '"{rotation_id}". Look for the key in HostUp\'s panel and delete it there if nobody needs it.'
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the answer to a create shows at ``data.key``; each value is None where its problem says why."""

    access_key: str | None
    access_key_problem: str | None
    secret_key: Secret | None
    secret_key_problem: str | None
    label: object


def key_or_error(
    operation: Operation, outcome: HostUpResponse | NoResponse, label: str, api_key: Secret
) -> CreatedKey | HostUpError:
    """Judge the outcome of the create for ``label``; never raises, and wipes nothing."""
    if isinstance(outcome, NoResponse):
        return _from_no_response(operation, outcome, _salvaged(outcome.raw, label, api_key))
    if outcome.is_success and outcome.shown_key:
        return _as_documented(operation, outcome, label)
    return _from_response(operation, outcome, _salvaged(outcome.response.raw, label, api_key))


def _salvaged(raw: Received | None, label: str, api_key: Secret) -> Salvaged | None:
    found = salvage(raw.reveal(), label) if raw else None
    if found and api_key.reveal() in (found.access_key or ""):
        return Salvaged(Found.UNUSABLE, why="Its access key holds the worker's own API key.")
    return found


def _as_documented(operation: Operation, response: HostUpResponse, label: str) -> CreatedKey | HostUpError:
    key = _shown(response)
    if not key.access_key:
        return unsettled(operation, response, f"was {response.status}, but {_phrase(key.access_key_problem)}")
    if key.label is not None and _tidied(key.label) != _tidied(label):
        hint = _CUT if _is_cut(key.label, label) else _MIXED_UP
        return unsettled(operation, response, _not_ours(key.access_key), Known(hint=hint))
    if not key.secret_key:
        why = f"shows the access key {key.access_key}, but {_phrase(key.secret_key_problem)}"
        return unsettled(operation, response, why, Known(key.access_key))
    odd = (response.request_id_problem,) if response.request_id_problem else ()
    # also with "success": false
    return CreatedKey(key.access_key, key.secret_key, response.request_id, tuple(map(_phrase, odd)))


def _shown(response: HostUpResponse) -> _Shown:
    """Read ``data.key``. No access key is one that holds a secret: it would be logged."""
    key = response.shown_key or {}
    access_key, secret_key = key.get("accessKey"), key.get("secretKey")
    wrong_name = key_name_problem(access_key)
    if isinstance(access_key, str) and not wrong_name and _shows(access_key, response.secrets):
        wrong_name = "The access key holds a secret."
    wrong_secret = secret_problem(secret_key)
    return _Shown(
        access_key if isinstance(access_key, str) and not wrong_name else None,
        wrong_name,
        Secret(secret_key) if isinstance(secret_key, str) and not wrong_secret else None,
        wrong_secret,
        key.get("label"),
    )


def _tidied(label: object) -> object:
    """A label without what a server may change of it and still mean the same one."""
    if not isinstance(label, str):
        return label
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())


def _is_cut(answered: object, sent: str) -> bool:
    return isinstance(answered, str) and bool(answered.strip()) and sent.startswith(answered)


def _shows(access_key: str, secrets: tuple[str, ...]) -> bool:
    return any(secret == access_key or (len(secret) >= SHORTEST_PART and secret in access_key) for secret in secrets)


def _from_response(operation: Operation, response: HostUpResponse, found: Salvaged | None) -> CreatedKey | HostUpError:
    """An answer that is whole, but does not show the key where it belongs."""
    if found is None:
        return failure(operation, response)
    if response.is_success:
        return _created(found) or _told(operation, response, found)
    if found.found is Found.KEY_PAIR:
        return _told(operation, response, found)
    return failure(operation, response, found.request_id)


def _from_no_response(operation: Operation, lost: NoResponse, found: Salvaged | None) -> CreatedKey | HostUpError:
    """No answer, or one that ended too early, or in a form that no reader takes."""
    if not lost.sent:
        return unreachable(operation, lost)
    if found is None:
        return unanswered(operation, lost)
    success = found.status is not None and 200 <= found.status < 300  # noqa: PLR2004 - HTTP's own numbers
    if success and (created := _created(found)):
        return created
    if not (success or found.found is Found.KEY_PAIR):
        return unanswered(operation, lost, known=Known(request_id=found.request_id))
    return unanswered(operation, lost, _words(found), _known(found))


def _told(operation: Operation, response: HostUpResponse, found: Salvaged) -> HostUpError:
    if found.found is Found.REQUEST_ID:
        return failure(operation, response, found.request_id)
    why = f"was {response.status}, and {_words(found)}"
    return unsettled(operation, response, why, _known(found))


def _created(found: Salvaged) -> CreatedKey | None:
    if found.found is not Found.KEY_PAIR or found.access_key is None or found.secret_key is None:
        return None
    return CreatedKey(found.access_key, found.secret_key, found.request_id, found.wrong or (_OUT_OF_FORM,))


def _known(found: Salvaged) -> Known:
    """What is sure; the access key only of a key that is ours, as it gets deleted."""
    ours = found.found in (Found.KEY_PAIR, Found.ACCESS_KEY)
    hint = _MIXED_UP if found.found is Found.ANOTHER_LABEL else ""
    return Known(found.access_key if ours else None, found.request_id, hint)


def _not_ours(access_key: str | None) -> str:
    name = f"the key {access_key}" if access_key else "a key"
    return f"shows {name} with another label than the one that was sent; nothing is deleted by that name"


def _phrase(sentence: str | None) -> str:
    """A sentence as a part of another one."""
    text = sentence or ""
    return text[:1].lower() + text[1:].rstrip(".")


def _words(found: Salvaged) -> str:
    """What was found, as the end of a sentence that begins with the answer."""
    why = _phrase(found.why)
    form = f" [{', '.join(found.wrong)}]" if found.wrong else ""
    match found.found:
        case Found.KEY_PAIR:
            return f"shows the key {found.access_key} beside a status that is no success{form}"
        case Found.ACCESS_KEY:
            return f"shows the access key {found.access_key}, but {why}{form}"
        case Found.ANOTHER_LABEL:
            return _not_ours(found.access_key) + form
        case Found.CHANGED_API:
            return f"shows a key as {', '.join(found.names)}: the API seems to have changed{form}"
        case Found.UNUSABLE:
            return f"shows a key that cannot be used, not even its name is sure ({why}){form}"
        case Found.REQUEST_ID:
            return f"shows nothing but its requestId{form}"
