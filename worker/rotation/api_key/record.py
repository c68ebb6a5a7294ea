"""What is on record of an account's API key: the roll under way, the last one, and what happened. Pure.

It lies in Vault beside the records of targets, and never holds a key. A key is told from another one by its mark.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from worker.events import Event
from worker.rotation.history import Entry, History
from worker.rotation.ports import ApiKeyGrants
from worker.secret import Secret

_DIGITS = 32


class Phase(StrEnum):
    """Where the API key is in its life."""

    IDLE = "idle"
    ROLLING = "rolling"
    """HostUp is asked to roll it, or the one who asked has stopped."""
    DOUBTFUL = "doubtful"
    """Nobody knows yet what became of the call."""
    CREATING = "creating"
    """HostUp is asked for another one by the bootstrap key, or the one who asked has stopped."""
    PLACED = "placed"
    """A new key is in Vault and has to be proven."""
    LOST = "lost"
    """HostUp refuses the key that is in Vault, and no other one is there: a person is needed."""


IN_DOUBT = frozenset({Phase.ROLLING, Phase.DOUBTFUL, Phase.CREATING, Phase.PLACED})
"""While it is in one of these, a refusal says nothing of the account."""


@dataclass(frozen=True, slots=True)
class Call:
    """The call under way, or the last one whose outcome is not settled.

    ``old_mark`` and ``old_key_id`` are of the key that it replaces. ``until``: what holds the lease is given up then.
    ``next_look`` is when it is looked at again, ``looks`` how often that was done. ``created``: it is a create by the
    bootstrap key and no roll. ``new_key_id`` and ``request_id`` are of the answer. ``refused_since``: each look since
    then met a clear refusal that is none of the key itself. ``gone``: HostUp knows no key of the old id any more, so it
    was probably carried out.
    """

    id: str
    by: str
    trigger: str
    started_at: datetime
    old_key_id: str | None
    old_mark: str
    holder: str
    until: datetime
    next_look: datetime
    looks: int = 0
    created: bool = False
    request_id: str | None = None
    new_key_id: str | None = None
    refused_since: datetime | None = None
    gone: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """What went wrong last, since when, how often in a row, and when it is tried again (None: a person is needed)."""

    what: str
    hint: str
    since: datetime
    count: int = 1
    retry_at: datetime | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class ApiKeyRecord:
    """``rolled_at`` is when the key in use was made, as far as it was made or settled here.

    ``tried_create``: a create by the bootstrap key was begun since the key was lost; it is never begun twice.
    ``earlier`` is the unsettled call from before the one under way, for the case that this one is refused.
    """

    account: str
    phase: Phase = Phase.IDLE
    call: Call | None = None
    earlier: Call | None = None
    trouble: Trouble | None = None
    rolled_at: datetime | None = None
    key_id: str | None = None
    grants: ApiKeyGrants = field(default_factory=ApiKeyGrants)
    tried_create: bool = False
    history: History = field(default_factory=History)
    next_entry: int = 1
    nonce: str = ""

    @property
    def in_doubt(self) -> bool:
        """Whether a refusal of the API key says nothing of the account."""
        return self.phase in IN_DOUBT and not self.needs_person

    @property
    def needs_person(self) -> bool:
        """Whether nothing goes on by itself."""
        return self.phase is Phase.LOST or (self.trouble is not None and self.trouble.retry_at is None)

    def noting(self, event: Event, at: datetime, request_id: str | None = None, **facts: object) -> ApiKeyRecord:
        """The same with one entry more in its history."""
        known = {name: value for name, value in facts.items() if value not in (None, "")}
        entry = Entry(number=self.next_entry, at=at, event=event.value, request_id=request_id, facts=known)
        return replace(self, history=self.history.with_entry(entry), next_entry=self.next_entry + 1)


def mark_of(api_key: Secret) -> str:
    """What tells a key from another one and shows nothing of it; only ever kept where the key itself is: in Vault."""
    digest = hashlib.blake2b(api_key.reveal().encode(), digest_size=_DIGITS // 2, person=b"hostup api key")
    return digest.hexdigest()
