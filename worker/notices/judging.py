"""Which log lines become notices, and which of them end what was told before. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from worker.events import Event
from worker.notices.notice import Kind, Notice
from worker.printable import printable
from worker.targets.account import DEFAULT_ACCOUNT, at_account

LONGEST_TEXT = 2_000
LONGEST_ID = 200
"""Characters, of what is said and of a name: some of it comes from outside."""

_KEY, _ROTATION = "overdue key", "overdue rotation"

_EACH = (Kind.UNCONFIRMED, Kind.PUBLISHED)
"""Told once for each rotation, and never over."""

TOLD: Mapping[str, tuple[Kind, str]] = {
    Event.ROTATION_FAILED: (Kind.FAILED, "failed"),
    Event.CREATE_UNCONFIRMED: (Kind.UNCONFIRMED, "unconfirmed"),
    Event.KEY_OVERDUE: (Kind.OVERDUE, _KEY),
    Event.CONFLICT_FOUND: (Kind.CONFLICT, "conflict"),
    Event.KEY_DIED: (Kind.DIED, "died"),
    Event.DRIFT_FOUND: (Kind.DRIFT, "drift"),
    Event.SECRET_PUBLISHED: (Kind.PUBLISHED, "published"),
    Event.SECRET_LOST: (Kind.DIED, "lost"),
    Event.TARGET_BLOCKED: (Kind.WAITS, "blocked"),
    Event.RECORD_UNREADABLE: (Kind.WAITS, "record"),
    Event.VAULT_SET_BACK: (Kind.WAITS, "set back"),
    Event.ENDPOINT_REFUSED: (Kind.WAITS, "endpoint"),
    Event.ACCOUNT_SUSPENDED: (Kind.WAITS, "suspended"),
    Event.API_KEY_LOST: (Kind.WAITS, "api key"),
    Event.API_KEY_STRAY: (Kind.WAITS, "stray api key"),
    Event.BASELINE_LOST: (Kind.WAITS, "baseline"),
}
"""The event, what it is told as, and what is not told again until it is over."""

_OF_AUDIT: Mapping[object, tuple[Kind, str]] = {
    "overdue": (Kind.OVERDUE, _ROTATION),
    "rescued": (Kind.WAITS, "rescued"),
}
"""What an audit found, by the kind of the finding; all else it finds is told by other events."""

_OF_ACCOUNT = frozenset({"drift", "endpoint", "baseline", "suspended", "api key", "stray api key"})
"""What stands for each account by itself."""

OVER: Mapping[str, tuple[str, ...]] = {
    Event.ROTATION_SUCCEEDED: ("failed", "conflict", "died", "lost", "blocked", "record", _ROTATION),
    Event.TARGET_RECOVERED: ("conflict", "died", "lost"),
    Event.SECRET_RESTORED: ("lost",),
    Event.KEY_DEAD: (_KEY,),
    Event.DELETES_RESUMED: ("set back",),
    Event.ACCOUNT_UNSUSPENDED: ("suspended",),
    Event.API_KEY_ROLLED: ("api key", "stray api key"),
    Event.API_KEY_SETTLED: ("api key", "stray api key"),
}
"""What is over with an event."""

_RIGHT_AGAIN = {"endpoint": "endpoints", "baseline": "counted"}
"""What is over with an audit that names the account in this field."""

READ = frozenset({*TOLD, *OVER, Event.AUDIT_FOUND, Event.AUDIT_DONE})
"""The events that matter here."""


@dataclass(frozen=True, slots=True)
class Word:
    """A notice, told once as long as ``mark`` stands; with ``over``: where one of these marks stood, which then go."""

    notice: Notice
    mark: str
    over: tuple[str, ...] = ()


def words(line: Mapping[str, object], owners: Mapping[str, str]) -> Iterator[Word]:
    """What a log line has to tell; ``owners`` are those of targets."""
    event = str(line.get("event"))
    target = _text(line.get("target"), LONGEST_ID)
    kind, slot = _OF_AUDIT.get(line.get("kind"), (None, "")) if event == Event.AUDIT_FOUND else _of(event)
    if kind:
        detail = _text(line.get("rotation_id"), LONGEST_ID) if kind in _EACH else ""
        yield Word(_notice(kind, line, owners), _mark(slot, target, detail or _account_of(slot, line)))
    over = tuple(_mark(slot, target, _account_of(slot, line)) for slot in OVER.get(event, ()))
    if event == Event.AUDIT_DONE:
        over = tuple(_of_audit_over(target, line))
        yield from _dealt_with(line, owners)
    if over:
        notice = _notice(Kind.RECOVERED, line, owners)
        yield Word(notice, _mark("recovered", target, notice.id), over)


def _account_of(slot: str, line: Mapping[str, object]) -> str:
    return _text(line.get("account"), LONGEST_ID) if slot in _OF_ACCOUNT else ""


def _of_audit_over(target: str, line: Mapping[str, object]) -> Iterator[str]:
    """What an audit found right again of accounts."""
    right = {"drift": _explained(line), **{slot: _texts(line.get(name)) for slot, name in _RIGHT_AGAIN.items()}}
    for slot, accounts in right.items():
        yield from (_mark(slot, target, account) for account in accounts)


def _dealt_with(line: Mapping[str, object], owners: Mapping[str, str]) -> Iterator[Word]:
    """Of each target of which an audit found that nothing rescued is left."""
    for name in _texts(line.get("dealt_with")):
        notice = _notice(Kind.RECOVERED, {**line, "target": name}, owners)
        yield Word(notice, _mark("recovered", name, notice.id), (_mark("rescued", name),))


def _explained(line: Mapping[str, object]) -> tuple[str, ...]:
    """The accounts of which an audit found every key explained, as lines name them: the default one by nothing."""
    if line.get("drift") == 0:
        return ("", *_texts(line.get("explained")))
    return _texts(line.get("explained"))


def _texts(values: object) -> tuple[str, ...]:
    listed = values if isinstance(values, list) else []
    return tuple("" if value == DEFAULT_ACCOUNT else _text(value, LONGEST_ID) for value in listed)


def _of(event: str) -> tuple[Kind | None, str]:
    return TOLD.get(event, (None, ""))


def _notice(kind: Kind, line: Mapping[str, object], owners: Mapping[str, str]) -> Notice:
    target, at, log = _text(line.get("target"), LONGEST_ID), str(line.get("timestamp", "")), str(line.get("event"))
    version = line.get("vault_version")
    return Notice(
        id=_digest(kind, target, at, log, str(line.get("rotation_id"))),
        event=kind,
        at=at,
        log=log,
        target=target or None,
        owner=owners.get(target),
        what=_text(line.get("error") or line.get("what"), LONGEST_TEXT) + _whose(line),
        hint=_text(line.get("hint"), LONGEST_TEXT) or _advice(kind, target),
        access_key=_text(line.get("access_key"), LONGEST_ID) or None,
        request_id=_text(line.get("request_id"), LONGEST_ID) or None,
        rotation_id=_text(line.get("rotation_id"), LONGEST_ID) or None,
        vault_version=version if isinstance(version, int) else None,
    )


def _whose(line: Mapping[str, object]) -> str:
    """Which account's API key it is: the record of one does not say so in its words."""
    of_key = str(line.get("event")).startswith("api_key.")
    return at_account(_text(line.get("account"), LONGEST_ID) or DEFAULT_ACCOUNT) if of_key else ""


def _advice(kind: Kind, target: str) -> str:
    """What to do where the line does not say it."""
    if kind in (Kind.RECOVERED, Kind.PUBLISHED):
        return ""
    return f"See `rotator status {target}`." if target else "See `rotator audit`."


def _mark(slot: str, target: str, detail: str = "") -> str:
    return _digest(slot, target, detail)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\n".join(parts).encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def _text(value: object, longest: int) -> str:
    return printable(value)[:longest] if isinstance(value, str) else ""
