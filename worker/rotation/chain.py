"""The chain of a history: every entry carries a hash over itself and over the hash of the entry before. Pure.

The hash of an entry is ``sha256(hash of the one before, newline, sha256 of its own text without the hash)``, in
hexadecimal; it stands at the end of its text, as ``hash``. Before the first entry it is the empty text. An entry
without one, as releases before wrote it, counts with the sha256 of its text: the chain begins with the entry after it.

Without a signature this shows that something was changed only as long as not everything after it was made anew: so
every entry's hash also goes into the log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

FIELD = "hash"

ACCEPTED = "chain.accepted"
"""The event of an entry in which somebody says that he looked into breaks; it accepts those whose marks it names."""

_SEAL = re.compile(r',"hash":"([0-9a-f]{64})"\}')
_SEAL_LENGTH = 75


@dataclass(frozen=True, slots=True)
class Break:
    """A place where the chain does not hold: the entry's number (0: not known), and what is wrong there.

    ``mark`` is a digest of the place as it was found; it is empty where the next entry that is written mends it, or
    becomes the break.
    """

    number: int
    what: str
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What an entry says of breaks that somebody looked into. ``after``: what was between that entry and it is gone."""

    number: int
    marks: frozenset[str]
    by: str
    reason: str
    at: str
    after: int | None = None

    @property
    def words(self) -> str:
        """By whom, when and why."""
        return f"accepted by {self.by} at {self.at[:19]} in entry {self.number}: {self.reason}"


@dataclass(frozen=True, slots=True)
class ChainState:
    """How a chain was found; ``breaks`` are those that nobody accepted.

    ``begins_at`` is the number of the first entry with a hash, None where none has one; ``bare`` counts those after it
    that have none. ``head`` is the hash of the newest entry, and ``newest`` its number.
    """

    entries: int
    begins_at: int | None
    newest: int
    head: str
    breaks: tuple[Break, ...]
    bare: int = 0
    accepted: tuple[tuple[Break, Acceptance], ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.breaks

    @property
    def words(self) -> str:
        """In a sentence without its end."""
        if not self.entries:
            return "there are no entries"
        if self.breaks:
            more = f", and at {len(self.breaks) - 1} places more" if len(self.breaks) > 1 else ""
            return f"broken at entry {self.breaks[0].number}: {self.breaks[0].what}{more}"
        if self.begins_at is None:
            return f"none of the {self.entries} entries carries a hash: a release before wrote them"
        before = "; those before carry no hash" if self.begins_at > 1 else ""
        between = f"; {self.bare} in between carry none: an older worker wrote them" if self.bare else ""
        return f"whole from entry {self.begins_at} to {self.newest}{before}{between}{self._words_of_accepted()}"

    def _words_of_accepted(self) -> str:
        if not self.accepted:
            return ""
        (first, how), more = self.accepted[0], len(self.accepted) - 1
        others = f", and {more} breaks more that were accepted" if more else ""
        return f", but for the break at entry {first.number}, {how.words}{others}"


def sealed(body: str, before: str) -> str:
    """The text of an entry with its hash, after an entry with the hash ``before``."""
    return f'{body[:-1]},"{FIELD}":"{link(before, digest(body))}"}}'


def link(before: str, own: str) -> str:
    """The hash of an entry: of the one before, and of the digest of its own text."""
    return sha256(f"{before}\n{own}".encode()).hexdigest()


def digest(text: str) -> str:
    """The sha256 of a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def parted(text: str) -> tuple[str, str | None]:
    """The text of an entry without its hash, and the hash; None where it has none."""
    found = _SEAL.fullmatch(text, max(0, len(text) - _SEAL_LENGTH))
    return (f"{text[:-_SEAL_LENGTH]}}}", found[1]) if found else (text, None)


def hash_of(text: str) -> str:
    """What the entry after this one rests on."""
    return parted(text)[1] or digest(text)


def head_of(texts: Sequence[str]) -> str:
    """What the next entry rests on."""
    return hash_of(texts[-1]) if texts else ""


def number_of(text: str) -> int:
    """The number of an entry, 0 where it cannot be read."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return 0
    number = found.get("n") if isinstance(found, dict) else None
    return number if isinstance(number, int) else 0


def inspect(texts: Iterable[str], newest: int | None = None, *, part: bool = False) -> ChainState:
    """Go through a chain from its oldest entry.

    ``newest`` is the number that the newest entry must have, where that is known. ``part``: what lies before the first
    text is not looked at, so nothing is said of how the first one is linked.
    """
    breaks: list[Break] = []
    said: list[Acceptance] = []
    before, begins_at, number, count, bare = "", None, 0, 0, 0
    carried: str | None = None
    for text in texts:
        body, carried = parted(text)
        last, number, count = number, number_of(text), count + 1
        if begins_at is None and carried is not None:
            begins_at = number
        if begins_at is not None and not (count == 1 and part):
            said += [here] if (here := acceptance_in(text)) else []
            wrong = _wrong(body, carried, before, (last, number)) or _missing(last, number, here)
            breaks += [Break(number, wrong, mark_of(number, before, digest(body), carried))] if wrong else []
        bare += begins_at is not None and carried is None
        before = carried or digest(text)
    if begins_at is not None and carried is None:
        breaks.append(
            Break(number, "it carries no hash, although entries before it do, and none after it vouches for it")
        )
    if newest is not None and count and number != newest:
        breaks.append(Break(newest, f"the newest entry should be {newest}, and is {number}"))
    left, accepted = _judged(breaks, said)
    return ChainState(count, begins_at, number, before, left, bare, accepted)


def mark_of(number: int, before: str, own: str, carried: str | None) -> str:
    """A digest of a place in a chain: ``before`` is the hash that it rests on, ``own`` the digest of its text."""
    return digest(f"{number}\n{before}\n{own}\n{carried or ''}")


def acceptance_in(text: str) -> Acceptance | None:
    """What an entry accepts; None for any other entry."""
    if ACCEPTED not in text:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.get("event") != ACCEPTED:
        return None
    marks, after, number = found.get("accepted"), found.get("after"), found.get("n")
    return Acceptance(
        number if isinstance(number, int) else 0,
        frozenset(map(str, marks if isinstance(marks, list) else [])),
        by=str(found.get("by", "")),
        reason=str(found.get("reason", "")),
        at=str(found.get("at", "")),
        after=after if isinstance(after, int) else None,
    )


def _judged(
    breaks: Sequence[Break], said: Sequence[Acceptance]
) -> tuple[tuple[Break, ...], tuple[tuple[Break, Acceptance], ...]]:
    """The breaks that nobody accepted, and those that somebody did, in an entry that is none itself."""
    broken = {each.number for each in breaks}
    by_mark = {mark: each for each in said if each.number not in broken for mark in each.marks}
    left = tuple(each for each in breaks if each.mark not in by_mark)
    return left, tuple((each, by_mark[each.mark]) for each in breaks if each.mark in by_mark)


def _missing(last: int, number: int, here: Acceptance | None) -> str:
    """What is wrong with the numbers of two entries that are tied together."""
    if not last or number == last + 1 or (here and here.after == last):
        return ""
    return f"the entry before it has the number {last}: what was between was taken away before it was written"


def _wrong(body: str, carried: str | None, before: str, numbers: tuple[int, int]) -> str:
    """What is wrong with one link; empty where nothing is. One without a hash is vouched for by the entry after it."""
    last, number = numbers
    own = digest(body)
    if carried is None or carried == link(before, own):
        return "" if carried or number == last + 1 or not last else f"the entry before it has the number {last}"
    if before and carried == link("", own):
        return "the chain begins anew there: what was before it could not be read when it was written"
    if not before and number > 1:
        return f"the entries before it are missing (1 to {number - 1})"
    return "it, or the entry before it, was changed, moved or taken away"
