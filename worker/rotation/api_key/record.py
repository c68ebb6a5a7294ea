"""What is on record of an account's API key: the roll under way, the last one, and what happened. Pure.

It lies in Vault beside the records of targets, and never holds a key. A key is told from another one by its mark.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from worker.clock import moment
from worker.errors import RecordTooNew, RecordUnreadable
from worker.events import Event
from worker.rotation.history import Entry, History
from worker.rotation.ports import ApiKeyGrants
from worker.secret import Secret

FORMAT = 1
KEPT_ENTRIES = 200
"""Of the history: a roll has three, so with one a month this is five years. The log has every line."""

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
    bootstrap key and no roll. ``new_key_id`` and ``request_id`` are of the answer.
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
    """

    account: str
    phase: Phase = Phase.IDLE
    call: Call | None = None
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


def encode(record: ApiKeyRecord) -> dict[str, Any]:
    """As Vault keeps it."""
    return {
        "format": FORMAT,
        "account": record.account,
        "phase": record.phase.value,
        "call": _call_document(record.call) if record.call else None,
        "trouble": _trouble_document(record.trouble) if record.trouble else None,
        "rolled_at": _text(record.rolled_at),
        "key_id": record.key_id,
        "name": record.grants.name,
        "scopes": _list(record.grants.scopes),
        "dns_permissions": _list(record.grants.dns_permissions),
        "tried_create": record.tried_create,
        "history": list(record.history.texts()[-KEPT_ENTRIES:]),
        "next_entry": record.next_entry,
        "nonce": record.nonce,
    }


def decode(data: Mapping[str, Any], account: str) -> ApiKeyRecord:
    """From what Vault keeps. Raises RecordTooNew, RecordUnreadable."""
    if isinstance(found := data.get("format"), int) and found > FORMAT:
        what = f"the record of the API key was written by a newer release (format {found}, known is {FORMAT})"
        raise RecordTooNew(what, hint="Upgrade this one, or go back to the release that wrote it.")
    try:
        return _decoded(data, account)
    except (KeyError, TypeError, ValueError) as error:
        what = f"the record of the API key cannot be read ({type(error).__name__})"
        hint = "See what stands there in Vault. With a working key at api_key_path: `rotator roll-api-key --settle`."
        raise RecordUnreadable(what, hint=hint) from None


def _decoded(data: Mapping[str, Any], account: str) -> ApiKeyRecord:
    if data["format"] != FORMAT:
        raise ValueError("format")
    texts = data["history"]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("history")
    return ApiKeyRecord(
        account=account,
        phase=Phase(data["phase"]),
        call=_call(data["call"]) if data["call"] else None,
        trouble=_trouble(data["trouble"]) if data["trouble"] else None,
        rolled_at=_moment(data["rolled_at"]) if data["rolled_at"] else None,
        key_id=_optional(data["key_id"]),
        grants=ApiKeyGrants(_optional(data["name"]), _tuple(data["scopes"]), _tuple(data["dns_permissions"])),
        tried_create=data["tried_create"] is True,
        history=History(tuple(texts)),
        next_entry=int(data["next_entry"]),
        nonce=str(data["nonce"]),
    )


def _call_document(call: Call) -> dict[str, Any]:
    return {
        "id": call.id,
        "by": call.by,
        "trigger": call.trigger,
        "started_at": _text(call.started_at),
        "old_key_id": call.old_key_id,
        "old_mark": call.old_mark,
        "holder": call.holder,
        "until": _text(call.until),
        "next_look": _text(call.next_look),
        "looks": call.looks,
        "created": call.created,
        "request_id": call.request_id,
        "new_key_id": call.new_key_id,
    }


def _call(data: Mapping[str, Any]) -> Call:
    return Call(
        id=str(data["id"]),
        by=str(data["by"]),
        trigger=str(data["trigger"]),
        started_at=_moment(data["started_at"]),
        old_key_id=_optional(data["old_key_id"]),
        old_mark=str(data["old_mark"]),
        holder=str(data["holder"]),
        until=_moment(data["until"]),
        next_look=_moment(data["next_look"]),
        looks=int(data["looks"]),
        created=data["created"] is True,
        request_id=_optional(data["request_id"]),
        new_key_id=_optional(data["new_key_id"]),
    )


def _trouble_document(trouble: Trouble) -> dict[str, Any]:
    return {
        "what": trouble.what,
        "hint": trouble.hint,
        "since": _text(trouble.since),
        "count": trouble.count,
        "retry_at": _text(trouble.retry_at),
        "request_id": trouble.request_id,
    }


def _trouble(data: Mapping[str, Any]) -> Trouble:
    return Trouble(
        what=str(data["what"]),
        hint=str(data["hint"]),
        since=_moment(data["since"]),
        count=int(data["count"]),
        retry_at=_moment(data["retry_at"]) if data["retry_at"] else None,
        request_id=_optional(data["request_id"]),
    )


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _moment(value: object) -> datetime:
    found = moment(value)
    if found is None:
        raise ValueError("moment")
    return found


def _optional(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _tuple(value: object) -> tuple[str, ...] | None:
    return tuple(str(each) for each in value) if isinstance(value, list) else None
