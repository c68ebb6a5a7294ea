"""Finds known values in texts, however they are written, at a cost that does not grow with how many are known.

Every log line is looked through, and a busy worker knows hundreds of secrets in thousands of forms. So a text is first
cut into pieces of eight characters, and these are looked up: a form of fifteen characters or more covers one such piece
whole, wherever it begins. The few shorter ones are looked for one by one.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Characters. A shorter value would be found by chance, in words that have nothing to do with it."""

_PIECE = 8
_WHOLE = 2 * _PIECE - 1


class KnownValues:
    """A set of values. Adding, removing and replacing are for one thread at a time; looking is for any."""

    def __init__(self) -> None:
        self._forms: Counter[str] = Counter()
        self._pieces: Counter[str] = Counter()
        self._short: tuple[str, ...] = ()

    def add(self, value: str) -> None:
        """Know one more value; one of fewer than 8 characters is ignored."""
        for form in _forms(value):
            self._forms[form] += 1
            self._pieces.update(_pieces(form))
            if _is_short(form):
                self._short = (*self._short, form)

    def remove(self, value: str) -> None:
        """Forget a value that was added."""
        for form in _forms(value):
            _less(self._forms, form)
            for piece in _pieces(form):
                _less(self._pieces, piece)
            if _is_short(form):
                known = list(self._short)
                known.remove(form)
                self._short = tuple(known)

    def may_be_in(self, text: str) -> bool:
        """False: no known value is in the text. True: it is worth looking closer."""
        places = range(0, len(text) - _PIECE + 1, _PIECE)
        if not self._pieces.keys().isdisjoint([text[place : place + _PIECE] for place in places]):
            return True
        return any(form in text for form in self._short)

    def replaced(self, text: str, by: str) -> str:
        """The text with ``by`` in place of every known value; the longer first, as it may contain a shorter one."""
        for form in sorted((form for form in self._forms if form in text), key=len, reverse=True):
            text = text.replace(form, by)
        return text


def _is_short(form: str) -> bool:
    return len(form) < _WHOLE


def _pieces(form: str) -> Iterator[str]:
    """What one of the places in a text shows of a form, whichever way it lies; none if it may fall between two."""
    if not _is_short(form):
        for start in range(_PIECE):
            yield form[start : start + _PIECE]


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _forms(value: str) -> frozenset[str]:
    """How a value may stand in a text: as it is, escaped, quoted for a URL, or as part of something in base64."""
    if len(value) < SHORTEST:
        return frozenset()
    escaped = (json.dumps(value), json.dumps(value, ensure_ascii=False), repr(value))
    in_urls = (quote(value), quote(value, safe=""), quote_plus(value))
    return frozenset({value, *(form[1:-1] for form in escaped), *in_urls, *_in_base64(value.encode())})


def _in_base64(value: bytes) -> Iterator[str]:
    """What is always the same wherever the value begins within base64's groups of three bytes."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + value).decode()
        first = (before * 8 + 5) // 6
        core = encoded[first : (before + len(value)) * 8 // 6]
        yield core
        yield core.replace("+", "-").replace("/", "_")
