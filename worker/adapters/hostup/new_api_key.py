"""The new API key in the answer to a roll, or to the create of one; pure.

The answer holds the only copy, and the old key probably died with it. So what it holds is kept whatever its form is:
in the documented form it is sure; else it is searched for in all that was received, and whoever gets it has to prove
it (one call tells) before it takes another key's place. That is why less care is needed here than with a pair of
access key and secret (:mod:`.salvage`), which cannot be proven to be ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TypeGuard

from worker.adapters.hostup.answers import HostUpResponse
from worker.adapters.hostup.head import read_head
from worker.adapters.hostup.lenient import BLANKS, STRING, unquoted
from worker.adapters.hostup.unwrap import bodies, texts
from worker.adapters.hostup.values import SHORTEST_SECRET, key_name_problem
from worker.rotation.ports import ApiKeyGrants, NewApiKey
from worker.secret import Secret, is_one_word

MOST_FOUND = 4
"""Keys that one answer in bad form is searched for: with more of them it is no answer to a roll."""

LONGEST_API_KEY = 8192
MOST_SCOPES = 200
LONGEST_WORD = 200
_KEY = re.compile(rf'"(?:key|api_?key)"{BLANKS}:{BLANKS}({STRING})', re.IGNORECASE)
_KEY_ID = re.compile(rf'"(?:key_?id)"{BLANKS}:{BLANKS}({STRING})', re.IGNORECASE)
_REQUEST_ID = re.compile(rf'"requestId"{BLANKS}:{BLANKS}({STRING})')
_OUT_OF_FORM = "its form is not the documented one"


def documented(response: HostUpResponse, by: Secret) -> NewApiKey | None:
    """The key of an answer in the documented form; ``by`` is the key that asked. None for any other answer."""
    data = response.data
    api_key, key_id = data.get("key"), data.get("key_id")
    if not response.is_success or not _is_api_key(api_key) or api_key == by.reveal():
        return None
    named = key_id if isinstance(key_id, str) and not key_name_problem(key_id) and api_key not in key_id else None
    wrong = () if named else ("it does not tell the id of the new key",)
    return NewApiKey(Secret(api_key), named, response.request_id, grants_of(response), wrong)


def grants_of(response: HostUpResponse) -> ApiKeyGrants:
    """What the answer says that the key is called and may do."""
    name = response.data.get("name")
    usable = isinstance(name, str) and 0 < len(name) <= LONGEST_WORD and name.isprintable()
    return ApiKeyGrants(
        name if usable and isinstance(name, str) else None,
        _words(response.data.get("scopes")),
        _words(response.data.get("dns_permissions")),
    )


def searched(raw: bytes, by: Secret) -> tuple[NewApiKey, ...]:
    """All that may be a new API key in the bytes that were received, the likeliest first; none of them is sure."""
    head = read_head(raw)
    found: dict[str, NewApiKey] = {}
    for body in bodies(raw, head):
        for text, wrong in texts(body):
            for value in islice(_values(_KEY, text), MOST_FOUND):
                if value not in found and value != by.reveal() and _is_api_key(value):
                    found[value] = _unsure(value, text, wrong)
    return tuple(islice(found.values(), MOST_FOUND))


def _unsure(value: str, text: str, wrong: tuple[str, ...]) -> NewApiKey:
    key_id = next((each for each in _values(_KEY_ID, text) if not key_name_problem(each)), None)
    request_id = next((each for each in _values(_REQUEST_ID, text) if not key_name_problem(each)), None)
    shown = [each if each and value not in each else None for each in (key_id, request_id)]
    return NewApiKey(Secret(value), shown[0], shown[1], salvaged=wrong or (_OUT_OF_FORM,), sure=False)


def _values(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    return (unquoted(match[1]) for match in pattern.finditer(text))


def _is_api_key(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and is_one_word(value) and SHORTEST_SECRET <= len(value) <= LONGEST_API_KEY


def _words(value: object) -> tuple[str, ...] | None:
    """A list of words, as far as it is one; None for anything else."""
    if not isinstance(value, list):
        return None
    words = (each for each in value if isinstance(each, str) and is_one_word(each) and len(each) <= LONGEST_WORD)
    return tuple(islice(words, MOST_SCOPES))
