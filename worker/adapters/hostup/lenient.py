"""Reads JSON as far as it goes: cut, with a trailing comma, or with other text behind it.

The json module reads a document whole or not at all, and says nothing of what stood before the fault. This reader walks
from token to token without recursion. It takes no token that JSON does not have, and repairs nothing: a string is read
from its quote to its quote, without control characters, or is left out.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto

MOST_TOKENS = 4000
"""In one document; an honest answer has about fifty."""

DEEPEST = 32
"""Objects and arrays in one another; an honest answer has three."""

ARRAY = "[]"
"""How an array stands in a path."""

BLANKS = r"[ \t\r\n]*+"
CHARACTERS = r'(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+'
STRING = f'"{CHARACTERS}"'

_TOKEN = re.compile(
    rf"{BLANKS}(?:(?P<string>{STRING})|(?P<mark>[{{}}\[\]:,])"
    r"|(?P<word>(?:true|false|null|-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)(?![\w.+-])))"
)
_BEGUN_STRING = re.compile(rf'{BLANKS}"(?P<begun>{CHARACTERS})(?P<cut>(?:\\(?:u[0-9a-fA-F]{{0,3}})?)?\Z)?')
_BEGUN_WORD = re.compile(rf"{BLANKS}[-+.A-Za-z0-9]*+\Z")


class Ending(StrEnum):
    """How the reading of a document ended."""

    WHOLE = "whole"
    CUT = "cut"
    """The text ended first."""
    DAMAGED = "damaged"
    """Something stood there that JSON does not have, or more than this reader takes."""


@dataclass(frozen=True, slots=True)
class Member:
    """One name in an object. ``path`` are the names of the objects around it, ``holder`` is its object's number.

    ``text`` is the value where that is a string. It may be a secret, and is in no repr.
    """

    path: tuple[str, ...] = field(repr=False)
    name: str = field(repr=False)
    holder: int
    text: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Document:
    """What was read between ``start`` and ``end`` of a text.

    ``pending`` is the name whose value did not come to its end; its ``text`` is what there is of a string.
    ``loose`` is whether the damage stands directly behind the last member's value.
    """

    start: int
    end: int
    ending: Ending
    members: tuple[Member, ...]
    pending: Member | None
    loose: bool
    trailing_comma: bool


def read_object(text: str, start: int, path: tuple[str, ...] = ()) -> Document:
    """Read the object that begins at ``start``, whose own path is ``path``; never fails.

    The time is linear in the text, the memory in the tokens, of which there are at most :data:`MOST_TOKENS`.
    """
    return _Reader(text, start, path).read()


def unquoted(token: str) -> str:
    """What a string token (:data:`STRING`) says."""
    return str(json.loads(token))


class _Next(Enum):
    """What may come next."""

    NAME = auto()
    COLON = auto()
    VALUE = auto()
    COMMA = auto()


@dataclass(slots=True)
class _Frame:
    """An object or array that is open."""

    closing: str
    path: tuple[str, ...]
    number: int
    name: str = ""
    after_comma: bool = False

    @property
    def is_object(self) -> bool:
        return self.closing == "}"


class _Reader:
    def __init__(self, text: str, start: int, path: tuple[str, ...]) -> None:
        self._text = text
        self._start = self._at = start
        self._root = path
        self._next = _Next.VALUE
        self._frames: list[_Frame] = []
        self._opened = 0
        self._members: list[Member] = []
        self._just_read = False
        self._trailing_comma = False

    def read(self) -> Document:
        for _ in range(MOST_TOKENS):
            token = _TOKEN.match(self._text, self._at)
            if token is None:
                return self._document(self._why_no_token())
            if not self._take(token["string"], token["mark"]):
                return self._document(Ending.DAMAGED)
            self._at = token.end()
            if not self._frames:
                return self._document(Ending.WHOLE)
        return self._document(Ending.DAMAGED)

    def _why_no_token(self) -> Ending:
        begun = _BEGUN_STRING.match(self._text, self._at)
        cut = begun["cut"] is not None if begun else _BEGUN_WORD.match(self._text, self._at) is not None
        return Ending.CUT if cut else Ending.DAMAGED

    def _take(self, string: str | None, mark: str | None) -> bool:
        """Whether the token may stand here."""
        if self._next is _Next.NAME:
            return self._take_name(string, mark)
        if self._next is _Next.COLON:
            self._next = _Next.VALUE
            return mark == ":"
        if self._next is _Next.COMMA:
            return self._take_comma(mark)
        if mark is None:
            return self._take_scalar(string)
        return self._open(mark) if mark in "{[" else self._close(mark)

    def _take_name(self, string: str | None, mark: str | None) -> bool:
        if string is None:
            return self._close(mark)
        self._frames[-1].name = unquoted(string)
        self._next = _Next.COLON
        return True

    def _take_scalar(self, string: str | None) -> bool:
        if not self._frames:
            return False
        self._note(None if string is None else unquoted(string))
        self._next = _Next.COMMA
        self._just_read = True
        return True

    def _take_comma(self, mark: str | None) -> bool:
        if mark != ",":
            return self._close(mark)
        frame = self._frames[-1]
        frame.after_comma = True
        self._next = _Next.NAME if frame.is_object else _Next.VALUE
        self._just_read = False
        return True

    def _note(self, text: str | None) -> None:
        frame = self._frames[-1]
        if frame.is_object:
            self._members.append(Member(frame.path, frame.name, frame.number, text))

    def _open(self, mark: str) -> bool:
        if len(self._frames) == DEEPEST:
            return False
        path = self._root
        if self._frames:
            self._note(None)
            inside = self._frames[-1]
            path = (*inside.path, inside.name if inside.is_object else ARRAY)
        self._opened += 1
        self._frames.append(_Frame("}" if mark == "{" else "]", path, self._opened))
        self._next = _Next.NAME if mark == "{" else _Next.VALUE
        return True

    def _close(self, mark: str | None) -> bool:
        frame = self._frames[-1] if self._frames else None
        colon_seen = frame is not None and frame.is_object and self._next is _Next.VALUE
        if frame is None or mark != frame.closing or colon_seen:
            return False
        self._trailing_comma |= frame.after_comma and self._next is not _Next.COMMA
        self._frames.pop()
        self._next = _Next.COMMA
        self._just_read = False
        return True

    def _document(self, ending: Ending) -> Document:
        return Document(
            self._start,
            self._at,
            ending,
            tuple(self._members),
            self._pending(),
            ending is Ending.DAMAGED and self._just_read,
            self._trailing_comma,
        )

    def _pending(self) -> Member | None:
        frame = self._frames[-1] if self._frames else None
        if frame is None or not frame.is_object or self._next is not _Next.VALUE:
            return None
        begun = _BEGUN_STRING.match(self._text, self._at)
        return Member(frame.path, frame.name, frame.number, unquoted(f'"{begun["begun"]}"') if begun else None)
