"""Keeps secrets out of log lines: by the name of a field, by a known value, and by how a secret looks in a text."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any

from worker.events import Event
from worker.logs.errors import in_a_word
from worker.logs.known_values import KnownValues
from worker.secret import Secret

STARS = "***"
REMEMBERED = 256
"""Values that come and go: a worker has at most so many threads, and each holds one staged secret."""

RENEWED = 64
"""Credentials that were read again from their files: of each kind the last few may still show in a text."""

LONGEST_TEXT = 16_384
LONGEST_READ = 262_144
"""Characters of a text that are looked through at all."""

LONGEST_NAME = 64
"""Characters at the end of a field's name that tell whether it is of a secret."""

DEEPEST = 8

_NAMES = re.compile(
    r"(?:secret|secretkey|secretaccesskey|secretid|password|passwd|passphrase|token|apikey|privatekey|authorization"
    r"|credentials?|cookie)$"
)
_ADDRESS = re.compile(r"""://[^\s"'<>]*+""")
_IN_TEXT = re.compile(
    r"""
    (?<![\w.])(?:hv[sbr]|s)\.[\w-]{20,}                        # Vault's and OpenBao's tokens
    | (?<![\w.])eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}            # JSON Web Tokens
    | (?P<name>(?:secret(?:[_-]?(?:access[_-]?)?key|[_-]?id)?|password|passwd|token|api[_-]?key|authorization)
        [\\"']*\s*[:=]\s*(?:Bearer\s+|Basic\s+)?)
      (?:\\*"[^"\\]{8,}|\\*'[^'\\]{8,}|[^\s"'\\,;&})\]]{8,})     # "secretKey": "…", password=…
    | (?P<scheme>\b(?:Bearer|Basic)\s+)[\w.~+/=-]{8,}
    """,
    re.VERBOSE | re.IGNORECASE,
)
_OUR_WORDS = frozenset({"timestamp", "level", "logger"})
_EVENTS = frozenset(event.value for event in Event)
_HINTS = (
    "://",
    "hvs.",
    "hvb.",
    "hvr.",
    "s.",
    "eyj",
    "secret",
    "passw",
    "token",
    "api",
    "authorization",
    "bearer",
    "basic",
)


class Redactor:
    """The secrets that this process knows, and what is done about them; may be used by many threads at once.

    ``fixed`` are known as long as the process lives; what :meth:`add` brings is forgotten by :meth:`discard`, at the
    end of :meth:`for_a_while`, or when there is too much of it, that first which was not added for the longest time.
    What :meth:`keep` brings is forgotten only when there is too much of that, the oldest first.
    """

    def __init__(self, fixed: Iterable[Secret] = ()) -> None:
        self._lock = threading.Lock()
        self._passing: dict[str, int] = {}
        self._renewed: dict[str, None] = {}
        self._here = threading.local()
        self._known = KnownValues()
        for value in {secret.reveal() for secret in fixed}:
            self._known.add(value)

    def add(self, secret: Secret) -> None:
        """Know one more secret. One of fewer than 8 characters is ignored."""
        value, mine = secret.reveal(), self._mine()
        with self._lock:
            holders = self._passing.pop(value, 0)
            if not holders:
                self._known.add(value)
            self._passing[value] = holders + 1 if mine is not None and value not in mine else max(holders, 1)
            if mine is not None:
                mine.add(value)
            if len(self._passing) > REMEMBERED:
                self._forget(next(iter(self._passing)))

    def keep(self, secret: Secret) -> None:
        """Know one more credential, which goes on being used. One of fewer than 8 characters is ignored."""
        value = secret.reveal()
        with self._lock:
            if value in self._renewed:
                return
            self._renewed[value] = None
            self._known.add(value)
            if len(self._renewed) > RENEWED:
                oldest = next(iter(self._renewed))
                del self._renewed[oldest]
                self._known.remove(oldest)

    @contextmanager
    def for_a_while(self) -> Iterator[None]:
        """What this thread adds within is forgotten at the end, unless another thread holds it, too."""
        before, mine = self._mine(), set[str]()
        self._here.mine = mine
        try:
            yield
        finally:
            self._here.mine = before
            with self._lock:
                for value in mine & self._passing.keys():
                    self._passing[value] -= 1
                    if not self._passing[value]:
                        self._forget(value)

    def discard(self, secret: Secret) -> None:
        """Forget a secret that this process no longer holds."""
        with self._lock:
            if secret.reveal() in self._passing:
                self._forget(secret.reveal())

    def _mine(self) -> set[str] | None:
        """What this thread has added for a while; None: what it adds stays."""
        return getattr(self._here, "mine", None)

    def _forget(self, value: str) -> None:
        del self._passing[value]
        self._known.remove(value)

    def text(self, text: str) -> str:
        """A text without what is known to be, or looks like, a secret; shortened when it is very long."""
        length = len(text)
        if length > LONGEST_READ:
            text = text[:LONGEST_READ].rpartition(" ")[0]  # what was cut in two would not be known
        if self._known.may_be_in(text):
            with self._lock:
                text = self._known.replaced(text, STARS)
        text = _IN_TEXT.sub(_stars, _ADDRESS.sub(_without_login, text))
        return text if len(text) <= LONGEST_TEXT >= length else f"{text[:LONGEST_TEXT]}… ({length} characters)"

    def __call__(self, logger: object, method: str, event_dict: MutableMapping[str, Any]) -> Mapping[str, Any]:
        """The processor: the last before rendering, so that nothing is added behind it.

        Names of fields, events, levels, loggers and times are words of our own, and stay as they are.
        """
        del logger, method
        texts: list[str] = []
        plain = {name: _field(name, value, texts, DEEPEST) for name, value in event_dict.items()}
        together = "\n".join(texts)
        if len(together) <= LONGEST_TEXT and not self._may_hold_secret(together):
            return plain
        return {name: value if _is_ours(name, value) else self._clean(value) for name, value in plain.items()}

    def _may_hold_secret(self, together: str) -> bool:
        lower = together.lower()
        if any(hint in lower for hint in _HINTS) and (_IN_TEXT.search(together) or _has_login(together)):
            return True
        return self._known.may_be_in(together)

    def _clean(self, value: Any) -> Any:
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.text(name): self._clean(inner) for name, inner in value.items()}
            case list():
                return [self._clean(inner) for inner in value]
            case _:
                return value


def _is_ours(name: str, value: Any) -> bool:
    """Whether the value is a word of our own: a secret that is a common word (``rotation``) must not garble it."""
    return name in _OUR_WORDS or (name == "event" and value in _EVENTS)


def _has_login(text: str) -> bool:
    return any("@" in found[0] for found in _ADDRESS.finditer(text))


def _without_login(found: re.Match[str]) -> str:
    """``://user:password@`` without both. Each run of characters is read once: a pattern would begin at each ``://``."""
    _, login, rest = found[0].rpartition("@")
    return f"://{STARS}@{rest}" if login else found[0]


def _stars(found: re.Match[str]) -> str:
    return (found["name"] or found["scheme"] or "") + STARS


def names_secret(name: str) -> bool:
    """Whether a field or a header of this name holds a secret, such as ``secretKey`` or ``X-Vault-Token``."""
    return _names_secret(name[-LONGEST_NAME:])


@lru_cache(maxsize=1024)
def _names_secret(name: str) -> bool:
    return _NAMES.search(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def _plain(value: Any, texts: list[str], depth: int) -> Any:
    """The value in JSON's own types; fields of secrets are stars, and all other texts are collected in ``texts``."""
    kind = type(value)
    if kind is str:
        texts.append(value)
        return value
    if kind in (int, float, bool, type(None)):
        return value
    if isinstance(value, Mapping) and depth:
        return {str(name): _field(str(name), inner, texts, depth - 1) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset) and depth:
        return [_plain(inner, texts, depth - 1) for inner in value]
    text = _as_text(value)
    texts.append(text)
    return text


def _field(name: str, value: Any, texts: list[str], depth: int) -> Any:
    texts.append(name)
    if names_secret(name) and value is not None and not isinstance(value, bool):
        return STARS
    return _plain(value, texts, depth)


def _as_text(value: object) -> str:
    match value:
        case BaseException():
            return in_a_word(value)
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"
        case datetime():
            return value.isoformat()
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - whatever an object's own __str__ raises must not stop its caller
        return f"<{type(value).__name__}: {type(error).__name__}>"
