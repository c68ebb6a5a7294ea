"""The object ``data.key`` of an answer to a create (page "Create a key"), as far as it was there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from itertools import pairwise

from worker.adapters.hostup.lenient import Document
from worker.adapters.hostup.unwrap import REPLACED
from worker.adapters.hostup.values import ONCE, SHORTEST_PART

PLACE = ("data", "key")
"""The path of the object with the key."""

_AROUND = ((), ("data",), PLACE)

SHORTEST_COMMON_LABEL = 8
"""Characters of a damaged label that have to agree."""


class Whose(Enum):
    """What the label tells."""

    OURS = auto()
    ANOTHERS = auto()
    UNKNOWN = auto()
    """It is not there, or cut where it does not contradict yet."""


@dataclass(frozen=True, slots=True)
class KeyObject:
    """Values are None where they are no whole strings.

    ``begun`` are the name and the text of the member whose value is not whole. ``order`` are the names in their order,
    that one included, and ``twice`` those of them, and of the objects around, that stand twice. ``whole`` is whether
    all of the answer's document was there, and ``loose`` whether something odd stands directly behind the last value.
    """

    access_key: str | None = field(repr=False)
    secret_key: str | None = field(repr=False)
    label: str | None = field(repr=False)
    begun: tuple[str, str] = field(repr=False)
    order: tuple[str, ...] = field(repr=False)
    twice: tuple[str, ...]
    whole: bool
    loose: bool

    @property
    def shows_access_key(self) -> bool:
        """Whether the access key is whole for sure: it is not just followed by what can end any string."""
        if ("accessKey", "secretKey") in pairwise(self.order):
            return True
        return self.whole and ("secretKey" in self.order or self.order[-1] != "accessKey")

    @property
    def shows_secret(self) -> bool:
        """Whether the secret is whole for sure, as the label stands behind it, and is this access key's."""
        if self.whole:
            return True
        return self.shows_access_key and "label" in self.order[self.order.index("secretKey") :]

    def is_secret(self, text: str | None) -> bool:
        """Whether to show this text would show the secret, or what there is of it, or a part."""
        secret = self.secret_key or (self.begun[1] if self.begun[0] == "secretKey" else "")
        shorter, longer = sorted((text or "", secret), key=len)
        return len(shorter) >= SHORTEST_PART and shorter in longer

    def whose(self, label: str) -> Whose:
        """Whether this is the key of the label that was sent."""
        if self.label is not None and same_label(self.label, label):
            return Whose.OURS
        if self.label is not None:
            return Whose.UNKNOWN if self.loose and self.order[-1] == "label" else Whose.ANOTHERS
        begun = self.begun[1] if self.begun[0] == "label" else ""
        return Whose.UNKNOWN if label.startswith(begun.partition(REPLACED)[0]) else Whose.ANOTHERS


def same_label(seen: str, sent: str) -> bool:
    """Whether the label in an answer is the label that was sent, perhaps cut inside its last character.

    Of a label that is cut inside a character, all letters and digits but the last character have to be there: labels
    differ in the rotation id, which is ASCII and so cannot be what is cut inside a character.
    """
    if seen == sent:
        return True
    start = seen.rstrip(REPLACED)
    missing = sent[len(start) :]
    cut = start != seen and missing and sent.startswith(start) and len(start) >= SHORTEST_COMMON_LABEL
    return bool(cut) and not missing[0].isascii() and not any(char.isalnum() for char in missing[1:])


def key_object(document: Document, *, whole: bool) -> KeyObject | None:
    """The object with the key in a document, or None; ``whole`` is whether that is all of the answer's document."""
    pending = (document.pending,) if document.pending else ()
    members = (*document.members, *pending)
    holder = next((each.holder for each in document.members if each.path == PLACE and each.name == "accessKey"), None)
    if holder is None:
        return None
    inside = [each for each in members if each.holder == holder]
    values = {each.name: each.text for each in inside if each is not document.pending}
    begun = [(each.name, each.text or "") for each in pending if each.holder == holder]
    places = Counter((each.holder, each.name) for each in members if each.name in ONCE and each.path in _AROUND)
    return KeyObject(
        values["accessKey"],
        values.get("secretKey"),
        values.get("label"),
        begun[0] if begun else ("", ""),
        tuple(each.name for each in inside),
        tuple(dict.fromkeys(name for (_, name), times in places.items() if times > 1)),
        whole,
        document.loose,
    )
