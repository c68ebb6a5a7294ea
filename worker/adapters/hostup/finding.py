"""Finds the new key in one text of an answer to a create; the rules are in :mod:`worker.adapters.hostup.salvage`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice

from worker.adapters.hostup.key_object import PLACE, KeyObject, Whose, key_object
from worker.adapters.hostup.lenient import BLANKS, STRING, Document, Ending, read_object, unquoted
from worker.adapters.hostup.values import key_name_problem, secret_problem
from worker.secret import Secret

MOST_DOCUMENTS = 32
"""Objects that are read in one text, and as many parts of objects: junk can begin like one."""

_DOCUMENT = re.compile(rf'\{{(?={BLANKS}["}}])')
_PART = re.compile(rf'"data"{BLANKS}:{BLANKS}\{{{BLANKS}"key"{BLANKS}:{BLANKS}(?=\{{)')
_VALUE = re.compile(rf'"(accessKey|secretKey)"{BLANKS}:{BLANKS}({STRING}){BLANKS}[,}}]')
_REQUEST_ID = re.compile(
    rf'"requestId"{BLANKS}:{BLANKS}"([0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4}}){{3}}-[0-9a-fA-F]{{12}})"'
)
_FORM = re.compile(r"[A-Za-z0-9+/=_.-]{1,256}")
"""Of access keys and secrets: nothing that JSON, HTTP or a gateway's text could have put there."""

_OTHER_SPELLING = re.compile(
    r"[_-]*access[_-]*key([_-]*id)?[_-]*|[_-]*secret[_-]*(access[_-]*)?key[_-]*", re.IGNORECASE
)
_LONGEST_SPELLING = 32
MOST_NAMES = 8
_SPELLING = ("accessKey", "secretKey")
_NOT_BLANK = re.compile(r"[^ \t\r\n]")
_BYTE_ORDER_MARK = "\ufeff"


class Found(StrEnum):
    """What an answer holds."""

    KEY_PAIR = "key pair"
    """The access key and its secret, for the label that was sent."""
    ACCESS_KEY = "access key"
    """The access key alone: that key exists, cannot be used, and is to be retired."""
    ANOTHER_LABEL = "another label"
    """A key that is not ours: nothing may ever be published or deleted by its name."""
    UNUSABLE = "unusable"
    """A key, but not even its name is sure."""
    CHANGED_API = "changed API"
    """A key under other names or at another place than documented: the API seems to have changed."""
    REQUEST_ID = "requestId"
    """No key, only the requestId."""


@dataclass(frozen=True, slots=True)
class Salvaged:
    """What could be made out of an answer. ``secret_key`` is set for ``KEY_PAIR`` only.

    ``access_key`` is set for ``KEY_PAIR`` and ``ACCESS_KEY``, and for ``ANOTHER_LABEL`` where it is sure: for the log.
    ``label_seen`` is whether the answer names the label that was sent. ``wrong`` are phrases on the form of the answer,
    ``why`` is one on what kept the key pair from being used; ``names`` are the names, in an undocumented spelling or at
    an undocumented place, under which a key seems to stand. None of them quotes a value.
    """

    found: Found
    access_key: str | None = None
    secret_key: Secret | None = None
    request_id: str | None = None
    status: int | None = None
    label_seen: bool = False
    why: str = ""
    wrong: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Seen:
    """A document with the key in it."""

    document: Document = field(repr=False)
    key: KeyObject
    salvaged: Salvaged


_FIRST = (Found.UNUSABLE, Found.ANOTHER_LABEL, Found.KEY_PAIR, Found.ACCESS_KEY)
"""Which counts when one text holds several: what speaks against a key before what speaks for it."""


def find(text: str, label: str) -> Salvaged | None:
    """What one text holds; ``label`` is the one that was sent. None for nothing; never fails."""
    documents = list(_documents(text))
    names = _other_names(documents)
    request_id = _request_id(text)
    seen = [*_with_key(documents, label)]
    if not any(each.salvaged.found is Found.KEY_PAIR for each in seen):
        seen += _with_key(_parts(text), label)
    if seen:
        best = min(seen, key=lambda each: _FIRST.index(each.salvaged.found))
        salvaged = _without_contradiction(best.salvaged, text)
        wrong = tuple(_wrong_with(text, best, label))
        if any(each.key.is_secret(request_id) for each in seen):
            request_id = None
        return replace(salvaged, request_id=request_id, wrong=wrong, names=names)
    if names:
        why = "the key stands under other names or at another place than documented"
        return Salvaged(Found.CHANGED_API, request_id=request_id, why=why, names=names)
    return Salvaged(Found.REQUEST_ID, request_id=request_id) if request_id else None


def _documents(text: str) -> Iterator[tuple[Document, bool]]:
    """The objects in the text, each with whether it can be all of an answer and not the inner part of a damaged one."""
    at, outermost = 0, True
    for _ in range(MOST_DOCUMENTS):
        begin = _DOCUMENT.search(text, at)
        if begin is None:
            return
        document = read_object(text, begin.start())
        yield document, outermost
        whole = document.ending is Ending.WHOLE
        outermost &= whole
        at = document.end if whole else begin.end()


def _parts(text: str) -> Iterator[tuple[Document, bool]]:
    """The last resort: what stands directly behind ``"data": {"key":``, whatever is wrong around it."""
    for begin in islice(_PART.finditer(text), MOST_DOCUMENTS):
        yield read_object(text, begin.end(), PLACE), False


def _with_key(documents: Iterable[tuple[Document, bool]], label: str) -> Iterator[_Seen]:
    for document, outermost in documents:
        key = key_object(document, whole=outermost and document.ending is Ending.WHOLE)
        salvaged = _judged(key, label) if key else None
        if key and salvaged:
            yield _Seen(document, key, salvaged)


def _judged(key: KeyObject, label: str) -> Salvaged | None:
    unusable = _why_unusable(key)
    if unusable:
        return Salvaged(Found.UNUSABLE, why=unusable)
    whose = key.whose(label)
    if whose is Whose.ANOTHERS:
        sure = key.access_key if key.shows_access_key else None
        return Salvaged(Found.ANOTHER_LABEL, sure, why="It names another label than the one that was sent.")
    if not key.shows_access_key:
        return None
    ours = whose is Whose.OURS
    why = _why_no_pair(key, ours=ours)
    if why or key.secret_key is None:
        return Salvaged(Found.ACCESS_KEY, key.access_key, label_seen=ours, why=why)
    return Salvaged(Found.KEY_PAIR, key.access_key, Secret(key.secret_key), label_seen=True)


def _why_unusable(key: KeyObject) -> str:
    if key.twice:
        return f"These names stand twice in it: {', '.join(key.twice)}."
    problem = key_name_problem(key.access_key) or _form_problem("access key", key.access_key)
    if problem:
        return problem
    return "Access key and secret key are the same." if key.is_secret(key.access_key) else ""


def _why_no_pair(key: KeyObject, *, ours: bool) -> str:
    if key.secret_key is None and "secretKey" not in key.order:
        return "There is no secret key beside the access key."
    if key.secret_key is None:
        return "The secret key is not whole."
    problem = secret_problem(key.secret_key) or _form_problem("secret key", key.secret_key)
    if problem:
        return problem
    if not ours:
        return "The label that was sent is not in it, so neither whose key it is nor that the secret is whole is sure."
    return "" if key.shows_secret else "Nothing behind the secret key proves that it is whole."


def _form_problem(what: str, value: str | None) -> str:
    return "" if value and _FORM.fullmatch(value) else f"The {what} holds characters that no documented key has."


def _without_contradiction(salvaged: Salvaged, text: str) -> Salvaged:
    """The result, unless the text shows two key pairs: then nobody can say which is ours."""
    if salvaged.found is Found.UNUSABLE:
        return salvaged
    access_keys: set[str] = set()
    secrets: set[str] = set()
    for match in _VALUE.finditer(text):
        value = unquoted(match[2])
        if _FORM.fullmatch(value):
            (access_keys if match[1] == "accessKey" else secrets).add(value)
        if len(access_keys) > 1 or len(secrets) > 1:
            return Salvaged(Found.UNUSABLE, why="There are two different key pairs in one answer.")
    return salvaged


def _wrong_with(text: str, seen: _Seen, label: str) -> Iterator[str]:
    document = seen.document
    before = _NOT_BLANK.search(text, 0, document.start)
    if before and before[0] == _BYTE_ORDER_MARK and before.end() == document.start:
        yield "a byte order mark"
    elif before:
        yield "text before the JSON"
    if document.ending is Ending.WHOLE and _NOT_BLANK.search(text, document.end):
        yield "text behind the JSON"
    if document.ending is Ending.CUT:
        yield "JSON that is cut short"
    elif document.ending is Ending.DAMAGED or not seen.key.whole:
        yield "JSON that is damaged"
    if document.trailing_comma:
        yield "a trailing comma"
    if seen.salvaged.label_seen and seen.key.label != label:
        yield "a label cut inside a character"


def _other_names(documents: list[tuple[Document, bool]]) -> tuple[str, ...]:
    """The names under which a key seems to stand, where they are not those of the documentation, in their order."""
    found: dict[str, None] = {}
    for document, outermost in documents:
        for each in (*document.members, *((document.pending,) if document.pending else ())):
            documented = each.name in _SPELLING
            short = len(each.name) <= _LONGEST_SPELLING
            if (documented and each.path != PLACE and outermost) or (
                not documented and short and _OTHER_SPELLING.fullmatch(each.name)
            ):
                found[each.name] = None
    return tuple(islice(found, MOST_NAMES))


def _request_id(text: str) -> str | None:
    """The requestId, where the text shows exactly one; a UUID (page "Create a key") cannot be cut unseen."""
    first = None
    for match in _REQUEST_ID.finditer(text):
        if first not in (None, match[1]):
            return None
        first = match[1]
    return first
