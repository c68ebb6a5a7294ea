"""The record of an API key as Vault keeps it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from worker.clock import moment
from worker.errors import RecordTooNew, RecordUnreadable
from worker.rotation.api_key.record import ApiKeyRecord, Call, Phase, Trouble
from worker.rotation.history import History
from worker.rotation.ports import ApiKeyGrants
from worker.targets.account import account_word

FORMAT = 1
KEPT_ENTRIES = 200
"""Of the history: a roll has three, so with one a month this is five years. The log has every line."""


def encode(record: ApiKeyRecord) -> dict[str, Any]:
    """As Vault keeps it."""
    return {
        "format": FORMAT,
        "account": record.account,
        "phase": record.phase.value,
        "call": _call_document(record.call) if record.call else None,
        "earlier": _call_document(record.earlier) if record.earlier else None,
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
        command = f"`rotator roll-api-key{account_word(account)} --settle`"
        hint = f"See what stands there in Vault. With a working key at api_key_path: {command}."
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
        earlier=_call(data["earlier"]) if data.get("earlier") else None,
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
        "refused_since": _text(call.refused_since),
        "gone": call.gone,
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
        refused_since=_moment(data["refused_since"]) if data.get("refused_since") else None,
        gone=data.get("gone") is True,
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
