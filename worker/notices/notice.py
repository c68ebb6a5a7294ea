"""A notice: one event that somebody wants to be told of, in words and in fields."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Protocol


class Kind(StrEnum):
    """What a notice is about: its field ``event``, and what ``events`` of a channel may name."""

    FAILED = "failed"
    RECOVERED = "recovered"
    DRIFT = "drift"
    UNCONFIRMED = "unconfirmed"
    OVERDUE = "overdue"
    CONFLICT = "conflict"
    WAITS = "waits"
    DIED = "died"
    PUBLISHED = "published"
    TEST = "test"


TROUBLE = tuple(kind for kind in Kind if kind not in (Kind.PUBLISHED, Kind.TEST))
"""What a person wants to know, and when it is over."""

NAMED = (*TROUBLE, Kind.PUBLISHED)
"""What ``events`` may name."""

_TITLES = {
    Kind.FAILED: "The rotation of {about} failed",
    Kind.RECOVERED: "{about} is well again",
    Kind.DRIFT: "HostUp counts another number of keys than is explained",
    Kind.UNCONFIRMED: "A create for {about} may have made a key that nobody has",
    Kind.OVERDUE: "{about} is overdue",
    Kind.CONFLICT: "Somebody else wrote the secret of {about}",
    Kind.WAITS: "{about} waits for a person",
    Kind.DIED: "Apps of {about} cannot work with what they read in Vault",
    Kind.PUBLISHED: "{about} has a new key",
    Kind.TEST: "A test",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """``id`` is the same at each try; ``log`` is the event of the log line that it was made of. No field is secret."""

    id: str
    event: Kind
    at: str
    log: str
    target: str | None = None
    owner: str | None = None
    what: str = ""
    hint: str = ""
    access_key: str | None = None
    request_id: str | None = None
    rotation_id: str | None = None
    vault_version: int | None = None

    @property
    def title(self) -> str:
        """What happened, in a line."""
        return _TITLES[self.event].format(about=self.target or "the account")

    @property
    def is_good(self) -> bool:
        """Whether nobody has to do anything."""
        return self.event in (Kind.RECOVERED, Kind.PUBLISHED, Kind.TEST)

    def document(self) -> dict[str, object]:
        """All that is known, in JSON's own types."""
        known = {name: value for name, value in asdict(self).items() if value not in (None, "")}
        return {**known, "title": self.title}

    def body(self) -> bytes:
        """The document as it is sent."""
        return json.dumps(self.document()).encode()

    def lines(self) -> list[str]:
        """What a person reads below the title."""
        ids = (
            ("target", self.target),
            ("owner", self.owner),
            ("access key", self.access_key),
            ("requestId", self.request_id),
            ("rotation", self.rotation_id),
            ("Vault version", self.vault_version),
            ("at", self.at),
        )
        told = [text for text in (self.what, self.hint) if text]
        return told + [f"{name}: {value}" for name, value in ids if value is not None]


class Way(Protocol):
    """One way to those who are told."""

    def deliver(self, notice: Notice) -> None:
        """Deliver a notice, within a time of its own. Raises NotDelivered."""
        ...
